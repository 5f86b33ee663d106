"""The memory of the worker pool and the live process, sampled while the benchmark runs."""

import os
import threading

MEASURED = ("durable-streams-worker", "durable-streams-live")


def children():
    """Parent → children, of all processes."""
    tree = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat:
                # The command's name stands in parentheses and may hold anything.
                parent = stat.read().rpartition(")")[2].split()[1]
        except OSError:
            continue
        tree.setdefault(int(parent), []).append(int(name))
    return tree


def descendants(pid):
    """All processes below `pid`."""
    tree, found, waiting = children(), [], [pid]
    while waiting:
        below = tree.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def program(pid):
    """The file name of the program that a process runs."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)"))
    except OSError:
        return ""


def kilobytes(path, key):
    """The number behind `key` in a file of /proc, 0 when the process has gone."""
    try:
        with open(path) as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)
    except OSError:
        return 0


class Sampler:
    """Looks at a stack's processes several times a second, on a thread of its own."""

    def __init__(self, every=0.25):
        self.every = every
        self.peak_rss = self.peak_pss = self.samples = 0
        self.by_program = {}
        self.supervisor = None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def watch(self, supervisor):
        """Look below this process from now on; None: look at nothing."""
        self.supervisor = supervisor

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def run(self):
        """The thread."""
        while not self.done.wait(self.every):
            supervisor = self.supervisor
            if supervisor is not None:
                self.sample(supervisor)

    def sample(self, supervisor):
        """One look: adds up all measured processes and keeps the highest sums."""
        rss = {}
        pss = 0
        for pid in descendants(supervisor):
            name = program(pid)
            if name not in MEASURED:
                continue
            rss[name] = rss.get(name, 0) + kilobytes(f"/proc/{pid}/status", "VmRSS:")
            pss += kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:")
        if not rss:
            return
        self.samples += 1
        self.peak_rss = max(self.peak_rss, sum(rss.values()))
        self.peak_pss = max(self.peak_pss, pss)
        for name, value in rss.items():
            self.by_program[name] = max(self.by_program.get(name, 0), value)
