// The streams of a project, a page of 100 at a time: only what is shown is ever loaded.

import * as api from "./api.js";
import { createStream } from "./create.js";
import { button, fill, h, pill, PLUS, table } from "./dom.js";
import { errorPanel } from "./errors.js";
import { count, position, time } from "./format.js";
import { isReachable, streamHash, streamsHash, toName, toPath } from "./names.js";

const PAGE = 100;
const TYPED = 200;

/** Where the pages before this one began, by project and prefix: the list itself only knows what follows. */
const trails = new Map();

export function showStreams(place, { project = null, query }, signal, { same }) {
  const prefix = query.get("prefix") ?? "";
  const after = query.get("after") ?? "";
  if (same && place.querySelector("#stream-list")) {
    load(place, project, prefix, after, signal);
    return;
  }
  const chooser = h("select", { id: "project", onchange: () => { location.hash = streamsHash(chooser.value); } },
    project !== null && h("option", { value: project, selected: true }, project));
  let typing = 0;
  const go = () => {
    clearTimeout(typing);
    const chosen = chooser.value || project;
    if (chosen) history.replaceState(null, "", streamsHash(chosen, toPath(filter.value)));
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  const filter = h("input", {
    id: "prefix", type: "search", value: toName(prefix), placeholder: "rooms/", autocomplete: "off",
      autocapitalize: "off", spellcheck: "false",
    oninput: () => { clearTimeout(typing); typing = setTimeout(go, TYPED); },
  });
  signal.addEventListener("abort", () => { if (!filter.isConnected) clearTimeout(typing); });
  fill(place,
    h("div", { class: "head" }, h("h1", { tabindex: "-1" }, "Streams"),
      button("Create stream", () => createStream(chooser.value || project),
        { class: "primary", id: "create-stream" }, PLUS)),
    h("form", { class: "filters", role: "search", onsubmit: (event) => { event.preventDefault(); go(); } },
      h("div", { class: "field" }, h("label", { for: "project" }, "Project"), chooser),
      h("div", { class: "field grow" }, h("label", { for: "prefix" }, "Name begins with"), filter)),
    h("div", { id: "stream-list" }));
  chooseProject(place, chooser, project, signal);
  if (project !== null) load(place, project, prefix, after, signal);
}

async function chooseProject(place, chooser, project, signal) {
  const list = place.querySelector("#stream-list");
  try {
    const { projects } = await api.projects(signal);
    const known = projects.map((entry) => entry.name);
    if (project !== null && !known.includes(project)) known.push(project);
    const first = project ?? (known.includes("_default") ? "_default" : known[0]);
    fill(chooser, known.map((name) => h("option", { value: name, selected: name === first }, name)));
    if (project !== null) return;
    if (first === undefined) {
      chooser.disabled = true;
      fill(list, h("section", { class: "panel empty" }, h("h2", {}, "No streams yet"),
        h("p", {}, "Create the first one here, or with PUT to /v1/stream/NAME.")));
    } else {
      history.replaceState(null, "", streamsHash(first));
      dispatchEvent(new HashChangeEvent("hashchange"));
    }
  } catch (error) {
    if (signal.aborted) return;
    if (project === null) fill(list, errorPanel("The projects could not be loaded", error,
      () => chooseProject(place, chooser, project, signal)));
  }
}

function trail(project, prefix, after) {
  const key = `${project}\n${prefix}`;
  if (!after) trails.set(key, []);
  const known = trails.get(key) ?? [];
  const index = known.indexOf(after);
  if (index >= 0) known.length = index + 1;
  else if (after) known.push(after);
  trails.set(key, known);
  return known;
}

async function load(place, project, prefix, after, signal) {
  const list = place.querySelector("#stream-list");
  list.setAttribute("aria-busy", "true");
  try {
    const page = await api.streams(project, { prefix, after, limit: PAGE }, signal);
    list.removeAttribute("aria-busy");
    fill(list, page.streams.length === 0 ? empty(project, prefix, after) : shown(project, prefix, after, page));
  } catch (error) {
    if (signal.aborted) return;
    list.removeAttribute("aria-busy");
    fill(list, errorPanel("The streams could not be loaded", error, () => load(place, project, prefix, after, signal)));
  }
}

function empty(project, prefix, after) {
  return h("section", { class: "panel empty", role: "status" },
    h("h2", {}, prefix ? "No stream begins so" : after ? "Nothing follows" : "No streams yet"),
    h("p", {}, prefix ? ["No stream of ", h("code", {}, project), " has a name that begins with ",
      h("code", {}, toName(prefix)), "."]
      : after ? h("a", { href: streamsHash(project) }, "Back to the first page")
        : "Create the first one here, or with PUT to its URL."));
}

const row = (project, stream) => [
  isReachable(stream.path) ? h("a", { href: streamHash(project, stream.path), class: "name" }, toName(stream.path))
    : h("span", { class: "name" }, stream.path, h("span", { class: "under" },
      "Its URL holds characters that browsers escape; use the command line.")),
  h("span", { class: "pills" }, pill(stream.state, stream.state === "open" ? "good" : ""),
    stream.public && pill("public", "info")),
  h("code", { class: "type" }, stream.content_type),
  h("span", { title: stream.tail }, count(position(stream.tail))),
  time(stream.last_write_at),
  time(stream.created_at),
];

function shown(project, prefix, after, page) {
  const before = trail(project, prefix, after);
  const number = after ? before.length + 1 : 1;
  const link = (label, to, attributes) => h("a", { class: "button", href: to, ...attributes }, label);
  const back = after ? streamsHash(project, prefix, before.at(-2) ?? "") : null;
  return [
    h("section", { class: "panel" }, table(`Streams of ${project}`,
      ["Name", "State", "Type", ["Tail", "number"], "Last write", "Created"],
        page.streams.map((stream) => row(project, stream)))),
    h("nav", { class: "pager", "aria-label": "Pages" },
      h("p", { role: "status" },
        `Page ${count(number)}, ${count(page.streams.length)} ${page.streams.length === 1 ? "stream" : "streams"}`),
      after && link("First", streamsHash(project, prefix), { id: "first" }),
      back !== null && link("Previous", back, { id: "previous" }),
      page.next !== null && link("Next", streamsHash(project, prefix, page.next), { id: "next", rel: "next" })),
  ];
}
