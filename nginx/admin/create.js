// The form that makes a stream.

import * as api from "./api.js";
import { checkbox, field, form } from "./dialogs.js";
import { fresh, h } from "./dom.js";
import { PROJECT_NAME, streamHash, toPath } from "./names.js";
import { toast } from "./toast.js";

const TYPES = ["application/json", "text/plain", "application/octet-stream", "application/x-ndjson", "text/markdown"];
const whole = (attributes = {}) => h("input", { type: "number", min: "0", step: "1", inputmode: "numeric",
  ...attributes });

/** What the header fields of the form are; empty ones stay out. */
function headers(inputs) {
  const found = { "Content-Type": inputs.type.value.trim() };
  const put = (name, value) => { if (value !== "") found[name] = value; };
  put("Stream-TTL", inputs.ttl.value);
  if (inputs.expires.value !== "") put("Stream-Expires-At", new Date(inputs.expires.value).toISOString());
  put("Stream-Retention-Age", inputs.age.value);
  put("Stream-Retention-Bytes", inputs.bytes.value);
  put("Stream-Retention-Messages", inputs.messages.value);
  if (inputs.closed.checked) found["Stream-Closed"] = "true";
  return found;
}

export async function createStream(project) {
  const list = fresh("types");
  const inputs = {
    project: h("input", { type: "text", required: true, value: project ?? "_default",
      pattern: PROJECT_NAME.source.slice(1, -1), autocapitalize: "off", spellcheck: "false" }),
    name: h("input", { type: "text", required: true, autofocus: true, autocomplete: "off", autocapitalize: "off",
      spellcheck: "false", placeholder: "rooms/lobby" }),
    type: h("input", { type: "text", required: true, value: "application/json", list, autocapitalize: "off",
      spellcheck: "false" }),
    body: h("textarea", { rows: "4", class: "mono", spellcheck: "false" }),
    ttl: whole(), age: whole(), bytes: whole(), messages: whole(),
    expires: h("input", { type: "datetime-local", step: "1" }),
    public: h("input", { type: "checkbox" }),
    closed: h("input", { type: "checkbox" }),
  };
  const made = await form("Create stream", [
    field("Project", inputs.project, "_default is the project of URLs without one."),
    field("Name", inputs.name, "Parts are separated by slashes."),
    field("Content type", inputs.type, "application/json makes a stream of messages, anything else one of bytes."),
    h("datalist", { id: list }, TYPES.map((type) => h("option", { value: type }))),
    field("First append", inputs.body, "May stay empty."),
    h("details", {}, h("summary", {}, "Lifetime, retention and access"),
      h("div", { class: "pair" }, field("Seconds to live without use", inputs.ttl),
        field("Expires at (your time)", inputs.expires)),
      field("Keep for so many seconds", inputs.age),
      h("div", { class: "pair" }, field("Keep so many bytes", inputs.bytes),
        field("Keep so many messages", inputs.messages)),
      checkbox("Public: anybody may read it", inputs.public),
      checkbox("Closed: the first append is all there will be", inputs.closed)),
  ], {
    label: "Create",
    kind: "wide",
    submit: async () => {
      const path = toPath(inputs.name.value);
      const response = await api.createStream(inputs.project.value, path, headers(inputs),
        inputs.body.value || undefined, inputs.public.checked);
      return { path, existed: response.status === 200 };
    },
  });
  if (!made) return;
  toast(made.existed ? "It exists already, with the same settings; nothing was appended." : "Stream created.",
    made.existed ? "warn" : "good");
  location.hash = streamHash(inputs.project.value, made.path);
}
