// A stream followed live over server-sent events. It reconnects at the last offset, so nothing is shown twice or missed.

import * as api from "./api.js";
import { button, fill, fresh, h, pill } from "./dom.js";
import { describe } from "./errors.js";
import { count, position, precise } from "./format.js";
import { elements } from "./json-text.js";
import { fromBase64, isJSON, isText, show, weight } from "./payload.js";

const KEPT = 500;
const KEPT_BYTES = 16 * 1024 * 1024;
const BACK = { json: 20, bytes: 4_096 };
const LONGEST_PAUSE = 10_000;

/** Drops the oldest beyond what may be kept; returns how many. */
function trim(messages) {
  let total = messages.reduce((sum, message) => sum + weight(message), 0);
  let gone = 0;
  while (messages.length - gone > KEPT || (total > KEPT_BYTES
    && messages.length - gone > 1)) total -= weight(messages[gone++]);
  messages.splice(0, gone);
  return gone;
}

const token = (of, at) => `${of.split("_")[0]}_${String(at).padStart(16, "0")}`;

/** `onWrite()` is told that something came, so that the figures beside it can be looked at again. */
export class LiveTail {
  #stream; #signal; #onWrite; #events = null; #offset = null; #cursor = ""; #failures = 0; #timer = 0; #frame = 0;
  #waiting = []; #kept = []; #paused = false; #view; #list; #state; #count; #pause; #from;

  constructor(stream, signal, onWrite) {
    this.#stream = stream;
    this.#signal = signal;
    this.#onWrite = onWrite;
    this.#view = isJSON(stream.content_type) ? "pretty" : isText(stream.content_type) ? "text" : "hex";
    this.element = this.#build();
    signal.addEventListener("abort", () => this.#stop());
    this.#begin("recent");
  }

  #build() {
    this.#list = h("ol", { class: "tail-list", tabindex: "0", role: "log", "aria-live": "off",
      "aria-label": "Newest messages first", id: "tail" });
    this.#state = h("span", { class: "tail-state", role: "status" });
    this.#count = h("span", { class: "muted", id: "tail-count" });
    this.#pause = button("Pause", () => this.#toggle(), { "aria-pressed": "false", id: "tail-pause" });
    this.#from = h("select", { id: "tail-from", "aria-label": "Begin with",
      onchange: () => this.#begin(this.#from.value) },
      h("option", { value: "recent" }, "The newest"), h("option", { value: "start" }, "The beginning"),
        h("option", { value: "now" }, "What comes now"));
    return h("section", { class: "panel tail", "aria-labelledby": "tail-title" },
      h("div", { class: "head section-head" }, h("h2", { id: "tail-title" }, "Live tail"), this.#state),
      h("div", { class: "tail-bar" }, this.#from, this.#views(), this.#pause,
        button("Clear", () => { this.#kept = []; this.#draw(); }), this.#count),
      this.#list);
  }

  #views() {
    const all = { pretty: [["pretty", "Laid out"], ["compact", "One line"]],
      hex: [["hex", "Hex"], ["base64", "Base64"]], text: [] }[this.#view];
    if (all.length === 0) return null;
    const name = fresh("view");
    return h("fieldset", { class: "switcher" }, h("legend", { class: "hidden" }, "How messages are shown"),
      all.map(([value, label]) => h("label", {},
      h("input", { type: "radio", name, value, checked: value === this.#view,
        onchange: () => { this.#view = value; this.#draw(); } }), h("span", {}, label))));
  }

  #begin(from) {
    this.#stop();
    this.#kept = [];
    this.#waiting = [];
    this.#failures = 0;
    const { tail, earliest, content_type: type } = this.#stream;
    if (from === "now") this.#offset = "now";
    else if (from === "start") this.#offset = "-1";
    else {
      const at = (position(tail) ?? 0) - (isJSON(type) ? BACK.json : BACK.bytes);
      this.#offset = at > (position(earliest) ?? 0) ? token(tail, at) : "-1";
    }
    this.#draw();
    this.#listen();
  }

  #stop() {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#events?.close();
    this.#events = null;
  }

  #url() {
    const query = new URLSearchParams({ live: "sse", offset: this.#offset });
    if (this.#cursor) query.set("cursor", this.#cursor);
    return `${api.streamUrl(this.#stream.project, this.#stream.path)}?${query}`;
  }

  #listen() {
    this.#say("Connecting …", "");
    const events = new EventSource(this.#url());
    this.#events = events;
    let payload = null;
    events.addEventListener("open", () => this.#say("Live", "good"));
    events.addEventListener("data", (event) => { payload = event.data; });
    events.addEventListener("control", (event) => {
      const control = JSON.parse(event.data);
      this.#failures = 0;
      if (payload !== null) this.#take(payload, control.streamNextOffset);
      payload = null;
      this.#offset = control.streamNextOffset;
      this.#cursor = control.streamCursor ?? "";
      if (control.streamClosed) {
        events.close();
        this.#say("Complete: the stream is closed", "");
        this.#onWrite();
      }
    });
    events.addEventListener("error", () => {
      events.close();
      if (this.#events === events) this.#again();
    });
  }

  /** The server ends each response after a while; after that, and after a failure, the tail goes on where it was. */
  #again() {
    const pause = this.#failures === 0 ? 100 : Math.min(LONGEST_PAUSE, 500 * 2 ** this.#failures);
    this.#failures += 1;
    if (this.#failures > 1) this.#why();
    this.#timer = setTimeout(() => { if (!this.#signal.aborted) this.#listen(); }, pause);
  }

  /** EventSource does not tell why it failed; a plain request does. */
  async #why() {
    this.#say("Connection lost; trying again …", "warn");
    const ending = new AbortController();
    try {
      const response = await fetch(this.#url(), { signal: AbortSignal.any([ending.signal, this.#signal]),
        cache: "no-store" });
      if (response.ok) return;
      const error = await api.refusal(response);
      const { code, message, advice } = describe(error);
      if (response.status === 404 || response.status === 410) this.#stop();
      this.#say(`${code}: ${message}. ${advice}`, "bad");
    } catch {
      // Still unreachable: the state says so already.
    } finally {
      ending.abort();
    }
  }

  #take(payload, offset) {
    const at = Date.now();
    for (const message of this.#messages(payload, offset)) this.#waiting.push({ ...message, at });
    trim(this.#waiting);
    if (!this.#paused && !this.#frame) this.#frame = requestAnimationFrame(() => this.#flush());
    if (this.#paused) this.#tell();
    this.#onWrite();
  }

  /** One for each message of a JSON stream; else one for each event, which may hold several appends. */
  #messages(payload, offset) {
    const type = this.#stream.content_type;
    if (!isJSON(type)) return [isText(type) ? { text: payload, offset } : { data: fromBase64(payload), offset }];
    const texts = elements(payload);
    const first = (position(offset) ?? texts.length) - texts.length;
    return texts.map((json, index) => ({ json, offset: token(offset, first + index + 1) }));
  }

  #flush() {
    this.#frame = 0;
    const coming = this.#waiting.splice(0);
    const fragment = document.createDocumentFragment();
    for (const message of coming.toReversed()) fragment.append(this.#item(message));
    this.#list.querySelector(".tail-empty")?.remove();
    this.#list.prepend(fragment);
    this.#kept.push(...coming);
    for (let gone = trim(this.#kept); gone > 0; gone -= 1) this.#list.lastElementChild?.remove();
    this.#tell();
  }

  #item(message) {
    return h("li", { class: "tail-item" },
      h("div", { class: "tail-meta" }, h("span", { title: "Received here at" }, precise(message.at)),
        h("span", { class: "mono", title: "Offset behind it" }, message.offset)),
      show(message, this.#view));
  }

  #draw() {
    fill(this.#list, this.#kept.toReversed().map((message) => this.#item(message)));
    this.#tell();
  }

  #toggle() {
    this.#paused = !this.#paused;
    this.#pause.setAttribute("aria-pressed", String(this.#paused));
    fill(this.#pause, h("span", {}, this.#paused ? "Resume" : "Pause"));
    if (!this.#paused) this.#flush();
    this.#tell();
  }

  #tell() {
    if (this.#kept.length === 0 && this.#list.children.length === 0) {
      this.#list.append(h("li", { class: "tail-empty muted" },
        "Nothing has arrived yet. New messages appear here by themselves."));
    }
    const kept = this.#kept.length;
    const held = this.#paused && this.#waiting.length > 0 ? `, ${count(this.#waiting.length)} wait` : "";
    fill(this.#count, `${count(kept)} shown${kept >= KEPT ? ` (the newest ${KEPT})` : ""}${held}`);
  }

  #say(text, kind) {
    if (this.#state.textContent !== text) fill(this.#state, pill(text, kind));
  }
}
