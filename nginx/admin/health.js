// Every process: what it runs, since when, and what it takes.

import * as api from "./api.js";
import { fill, h, pill, table } from "./dom.js";
import { errorPanel } from "./errors.js";
import { bytes, count, dateTime, duration, plural } from "./format.js";
import { connectionLost, repeat } from "./refresh.js";

const EVERY = 5;
const ROLES = {
  supervisor: "starts and watches the others",
  worker: "writes and catch-up reads",
  live: "long-poll and event streams",
  nginx: "speaks with clients",
};
const STATES = { running: "good", draining: "warn", lost: "bad" };

function notices(processes) {
  const lost = processes.filter((process) => process.state === "lost");
  const ours = processes.filter((process) => process.role !== "nginx");
  const versions = [...new Set(ours.map((process) => process.version))];
  const found = [];
  if (lost.length) found.push(["bad",
    `${plural(lost.length, "process has", "processes have")} given no sign of life. Look at the log of the server.`]);
  if (versions.length > 1) found.push(["warn",
    `Several versions run: ${versions.join(", ")}. Old ones end when their readers have gone.`]);
  if (found.length === 0) found.push(["good", "All processes run."]);
  return found.map(([kind, text]) => h("p", { class: `notice ${kind}` }, text));
}

const row = (process) => [
  h("span", {},
    h("strong", {}, process.number === null || process.role === "supervisor" ? process.role
    : `${process.role} ${process.number}`),
    h("span", { class: "under" }, ROLES[process.role] ?? "")),
  pill(process.state, STATES[process.state] ?? ""),
  process.version ?? "–",
  h("span", { title: dateTime(process.started_at) }, duration(process.uptime_seconds)),
  process.pid,
  bytes(process.resident_bytes),
  process.cpu_seconds === null || process.cpu_seconds === undefined ? "–" : duration(process.cpu_seconds),
  count(process.open_descriptors),
];

export function showHealth(place, _, signal) {
  const content = h("div", { "aria-busy": "true" }, h("p", { class: "muted" }, "Loading …"));
  fill(place, h("div", { class: "head" }, h("h1", { tabindex: "-1" }, "Health")), content);
  let known = false;
  const again = repeat(signal, EVERY, async () => {
    const { processes } = await api.processes(signal);
    connectionLost(null);
    known = true;
    content.removeAttribute("aria-busy");
    fill(content, notices(processes), h("section", { class: "panel" }, table("Processes",
      ["Process", "State", "Version", ["Up for", "number"], ["Process id", "number"], ["Memory", "number"],
        ["CPU time", "number"], ["Descriptors", "number"]],
      processes.map(row))));
  }, (error) => {
    content.removeAttribute("aria-busy");
    if (known) connectionLost(error);
    else fill(content, errorPanel("The processes could not be loaded", error, () => again()));
  });
  signal.addEventListener("abort", () => connectionLost(null));
}
