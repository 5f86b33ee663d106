// What can be done to a stream: append, close, delete.

import * as api from "./api.js";
import { checkbox, confirm, confirmByName, field, form } from "./dialogs.js";
import { fresh, h } from "./dom.js";
import { isJSON, isText } from "./payload.js";
import { streamsHash, toName } from "./names.js";
import { toast } from "./toast.js";

/** A mistake in the form, shown as a refusal of the server is. */
class InputError extends Error {
  constructor(message, advice) {
    super(message);
    this.code = "INPUT_INVALID";
    this.advice = advice;
  }
}

function decode(kind, text) {
  if (kind === "text") return text;
  const packed = text.replace(/\s+/g, "");
  if (kind === "hex") {
    if (!/^(?:[0-9a-fA-F]{2})*$/.test(packed)) throw new InputError("this is not hex",
      "Give two digits of 0-9 and a-f for each byte.");
    return Uint8Array.from(packed.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  }
  try {
    return Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  } catch {
    throw new InputError("this is not base64", "Use A-Z, a-z, 0-9, + and /, padded with = to a multiple of four.");
  }
}

function checkJSON(text) {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new InputError(error.message, "Correct the JSON: one value, or an array of messages.");
  }
}

/** Appends what is typed or a file, and may close the stream with it. */
export async function appendTo(stream, done) {
  const json = isJSON(stream.content_type);
  const input = h("textarea", { rows: "6", class: "mono", spellcheck: "false", autofocus: true });
  const kinds = [["text", "Text"], ["hex", "Hex"], ["base64", "Base64"]];
  const name = fresh("kind");
  const chosen = { kind: isText(stream.content_type) || json ? "text" : "hex" };
  const kind = h("fieldset", { class: "switcher" }, h("legend", {}, "What is typed below is"),
    kinds.map(([value, label]) => h("label", {},
    h("input", { type: "radio", name, value, checked: chosen.kind === value,
      onchange: () => { chosen.kind = value; } }), h("span", {}, label))));
  const file = h("input", { type: "file" });
  const last = h("input", { type: "checkbox" });
  const ok = await form("Append", [
    h("p", { class: "muted" }, "To ", h("code", {}, toName(stream.path)), ", as ", h("code", {}, stream.content_type)),
    !json && kind,
    field(json ? "JSON" : "Content", input,
      json ? "One value is one message; an array is a batch, each element a message." : null),
    h("details", {}, h("summary", {}, "From a file"), field("File", file, "Taken in place of what is typed.")),
    checkbox("Close the stream with this", last),
  ], {
    label: "Append",
    kind: "wide",
    submit: async () => {
      const body = file.files[0] ?? decode(chosen.kind, input.value);
      if (json && typeof body === "string") checkJSON(body);
      await api.appendTo(stream.project, stream.path, {
        "Content-Type": stream.content_type, ...(last.checked ? { "Stream-Closed": "true" } : {}),
      }, body);
    },
  });
  if (!ok) return;
  toast(last.checked ? "Appended and closed." : "Appended.");
  done();
}

export async function close(stream, done) {
  const ok = await confirm("Close stream",
    `Nothing can be appended to “${toName(stream.path)}” afterwards, and it cannot be opened again. Readers learn that it is complete.`,
    "Close stream", () => api.appendTo(stream.project, stream.path, { "Stream-Closed": "true" }));
  if (!ok) return;
  toast("Stream closed.");
  done();
}

export async function remove(stream) {
  const name = toName(stream.path);
  const forks = stream.forks > 0
    ? ` ${stream.forks} forks keep what they need of it; until they go, its name stays taken.` : "";
  const ok = await confirmByName("Delete stream",
    `All data of this stream are deleted. This cannot be undone.${forks}`, name, "Delete for ever",
    () => api.deleteStream(stream.project, stream.path).then(() => true));
  if (!ok) return;
  toast("Stream deleted.");
  location.hash = streamsHash(stream.project);
}
