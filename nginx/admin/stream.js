// One stream: what it is, where its data lie, who writes and reads it, and what comes.

import * as actions from "./actions.js";
import * as api from "./api.js";
import { copy } from "./dialogs.js";
import { button, COPY, facts, fill, h, pill, table, TRASH } from "./dom.js";
import { errorPanel } from "./errors.js";
import { ago, bytes, count, dateTime, duration, NOTHING, plural, position, time } from "./format.js";
import { projectHash, publicPath, streamHash, streamsHash, toName } from "./names.js";
import { connectionLost, repeat } from "./refresh.js";
import { LiveTail } from "./tail.js";

const EVERY = 5;
const SOON = 300;

function lifetime(stream) {
  if (stream.ttl_seconds !== null) return `${duration(stream.ttl_seconds)} without use`;
  if (stream.expires_at !== null) return "until a date";
  return "no end";
}

function retention({ age, bytes: size, messages }) {
  const parts = [age !== null && `for ${duration(age)}`, size !== null && `the last ${bytes(size)}`,
    messages !== null && `the last ${plural(messages, "message")}`];
  return parts.filter(Boolean).join(", ") || "everything";
}

function source(stream) {
  if (!stream.source) return null;
  const { project = stream.project, path, offset = null } = typeof stream.source === "string" ? { path: stream.source }
    : stream.source;
  return h("span", {}, h("a", { href: streamHash(project, path) },
    project === stream.project ? toName(path) : `${project} / ${toName(path)}`),
    offset && h("span", { class: "under mono" }, `at ${offset}`));
}

function about(stream) {
  return h("section", { class: "panel" }, h("h2", {}, "Stream"), facts([
    ["Content type", h("code", {}, stream.content_type)],
    ["Messages", stream.messages === null ? NOTHING : count(stream.messages)],
    ["Size", bytes(stream.bytes)],
    ["Tail", h("code", { title: `position ${count(position(stream.tail))}` }, stream.tail)],
    ["Earliest", h("code", {}, stream.earliest)],
    ["Created", h("span", { title: ago(stream.created_at) }, dateTime(stream.created_at))],
    ["Last write", stream.last_write_at === null ? "never" : time(stream.last_write_at)],
    ["Lifetime", lifetime(stream)],
    ["Expires", stream.expires_at === null ? null : h("span", { title: dateTime(stream.expires_at) },
      `${dateTime(stream.expires_at)} (${ago(stream.expires_at)})`)],
    ["Keeps", retention(stream.retention)],
    ["Live readers", stream.live_readers === null ? null : count(stream.live_readers)],
    ["Forked from", source(stream)],
    ["Forks", count(typeof stream.forks === "number" ? stream.forks : stream.forks?.length)],
    ["URL", h("code", { class: "break" }, publicPath(stream.project, stream.path))],
  ]));
}

function share(stream) {
  const total = stream.hot.bytes + stream.cold.bytes;
  const hot = h("div", { class: "share-hot" });
  hot.style.flexGrow = String(total ? stream.hot.bytes / total : 0);
  const cold = h("div", { class: "share-cold" });
  cold.style.flexGrow = String(total ? stream.cold.bytes / total : 0);
  return h("div", { class: "share", "aria-hidden": "true" }, hot, cold);
}

function storage(stream, open) {
  const { segments, segment_count: all } = stream.cold;
  return h("section", { class: "panel" }, h("h2", {}, "Storage"), share(stream),
    facts([
      [h("span", { class: "key hot" }, "Hot, in the log"),
        `${bytes(stream.hot.bytes)}, ${plural(stream.hot.messages, "record")}`],
      [h("span", { class: "key cold" }, "Cold, in segments"), `${bytes(stream.cold.bytes)}, ${plural(all, "segment")}`],
    ]),
    segments.length > 0 && h("details", { open, class: "segments" },
      h("summary", {}, all > segments.length ? `The newest ${segments.length} of ${count(all)} segments` : "Segments"),
      table("Segments", [["From", "number"], ["To", "number"], ["Size", "number"]],
        segments.map(({ start, end, bytes: size }) => [place(start), place(end), bytes(size)]))));
}

const place = (value) => (typeof value === "number" ? count(value) : h("span", { title: value },
  count(position(value) ?? 0)));

function producers(stream) {
  if (stream.producers.length === 0) return null;
  const all = stream.producer_count;
  return h("section", { class: "panel" }, h("h2", {}, "Producers"),
    all > stream.producers.length && h("p", { class: "muted" }, `${count(stream.producers.length)} of ${count(all)}`),
    table("Producers", ["Id", ["Epoch", "number"], ["Sequence", "number"], "Last used"],
      stream.producers.map((producer) => [
      h("code", { class: "break" }, producer.id), producer.epoch, producer.sequence, time(producer.used_at)])));
}

function head(stream, again) {
  const isOpen = stream.state === "open";
  return [
    h("div", { class: "head-pills" }, pill(stream.state, isOpen ? "good" : ""),
      stream.public && pill("public", "info")),
    h("div", { class: "actions" },
      isOpen && button("Append", () => actions.appendTo(stream, again), { class: "primary", id: "append" }),
      isOpen && button("Close", () => actions.close(stream, again), { id: "close" }),
      button("Copy URL", () => copy(location.origin + publicPath(stream.project, stream.path)), {}, COPY),
      button("Delete", () => actions.remove(stream), { class: "danger-quiet", id: "delete" }, TRASH)),
  ];
}

export function showStream(view, { project, path }, signal) {
  const top = h("div", { class: "stream-head" });
  const content = h("div", { class: "columns", "aria-busy": "true" }, h("p", { class: "muted" }, "Loading …"));
  const tailPlace = h("div");
  fill(view,
    h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: streamsHash(project) }, "Streams"),
      h("span", { "aria-hidden": "true" }, "/"),
      h("a", { href: projectHash(project) }, project)),
    h("h1", { tabindex: "-1", class: "break" }, toName(path)), top, content, tailPlace);
  let tail = null;
  let soon = 0;
  let shown = "";
  const again = repeat(signal, EVERY, async () => {
    const stream = await api.oneStream(project, path, signal);
    connectionLost(null);
    content.removeAttribute("aria-busy");
    // The buttons stay as they are while nothing about them changed, so that the focus stays too.
    const state = `${stream.state} ${stream.public} ${stream.content_type}`;
    if (state !== shown) fill(top, head(stream, () => again()));
    shown = state;
    const open = content.querySelector(".segments")?.open ?? false;
    fill(content, about(stream), h("div", { class: "stack" }, storage(stream, open), producers(stream)));
    if (!tail) {
      tail = new LiveTail(stream, signal, () => { soon ||= setTimeout(() => { soon = 0; again(); }, SOON); });
      fill(tailPlace, tail.element);
    }
  }, (error) => {
    content.removeAttribute("aria-busy");
    if (tail && error.status !== 404 && error.status !== 410) connectionLost(error);
    else {
      shown = "";
      fill(top);
      fill(content, errorPanel("The stream could not be loaded", error, () => again()));
    }
  });
  signal.addEventListener("abort", () => { clearTimeout(soon); connectionLost(null); });
}
