"""rakaia-streams with its store in files, for uvicorn: what it answers is on the disk."""

import os

from rakaia import create_app
from rakaia.jsonl_store import JsonlStreamStore

app = create_app(store=JsonlStreamStore(os.environ["RAKAIA_FOLDER"]))
