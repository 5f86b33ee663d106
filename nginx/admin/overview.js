// How the server is doing: figures of the last moments, and charts.

import * as api from "./api.js";
import { chartGrid } from "./charts.js";
import { facts, fill, h, meter, pill } from "./dom.js";
import { errorPanel } from "./errors.js";
import { ago, bytes, count, dateTime, percent, plural, rate, short } from "./format.js";
import { connectionLost, repeat } from "./refresh.js";

const EVERY = 5;
const AUTH = {
  none: "open to everybody",
  "project-jwt": "tokens of projects",
  delegate: "an endpoint of yours decides",
};

function tile(label, value, unit, note, { extra = null, kind = "", exact = null } = {}) {
  return h("div", { class: `tile ${kind}` },
    h("dt", {}, label),
    h("dd", { class: "tile-value", title: exact }, value, unit && h("span", { class: "unit" }, ` ${unit}`)),
    h("dd", { class: "tile-note" }, note),
    extra && h("dd", {}, extra));
}

function tiles(seen) {
  const { rates, live, cache, disk } = seen;
  const used = disk?.used_percent ?? null;
  const high = disk?.high_water_percent ?? 100;
  const full = used !== null && used >= high;
  const near = used !== null && used >= high - 5;
  const level = full ? "bad" : near ? "warn" : "";
  return [
    tile("Streams", short(seen.streams), "",
      seen.streams === null ? "not counted yet" : plural(seen.projects, "registered project"),
        { exact: count(seen.streams) }),
    tile("Appends", rate(rates.appends_per_second), "/s", `${short(seen.messages_appended)} messages in all`),
    tile("Written", bytes(rates.append_bytes_per_second), "/s",
      seen.hot_bytes === null ? "not counted yet" : `${bytes(seen.hot_bytes)} hot, ${bytes(seen.cold_bytes)} cold`),
    tile("Reads", rate(rates.reads_per_second), "/s",
      rates.errors_per_second > 0 ? `${rate(rates.errors_per_second)} errors/s` : "no errors",
      { kind: rates.errors_per_second > 0 ? "warn" : "" }),
    tile("Live readers", short(live.readers), "",
      `${count(live.event_streams)} by events, ${count(live.long_polls)} by long-poll`),
    tile("Cache hits", percent(cache.hit_rate), "", cache.hit_rate === null ? "no cached reads yet"
      : `${short(cache.hits)} of ${short(cache.hits + cache.misses)} reads`),
    tile("Disk", used === null ? "–" : `${count(Math.round(used))} %`, used === null ? "" : "used",
      disk ? `${bytes(disk.free)} of ${bytes(disk.total)} free` : "unknown",
      { extra: used !== null && meter(used / 100, `Disk in use; writes stop at ${high} percent`, level, high / 100),
        kind: level }),
  ];
}

function warnings(seen) {
  const disk = seen.disk;
  const found = [];
  if (!seen.ready) found.push(["bad", "The server is not ready: a process is missing. See Health."]);
  if (disk && disk.used_percent >= disk.high_water_percent) {
    found.push(["bad",
      `The disk is over its high-water mark (${disk.high_water_percent} %): appends and creates get 507. Free space, or delete streams.`]);
  }
  if (seen.auth === "none") found.push(["info",
    "There is no access control: whoever reaches the server may read and write everything."]);
  return found.map(([kind, text]) => h("p", { class: `notice ${kind}` }, text));
}

export function showOverview(place, _, signal) {
  const state = h("div", { class: "head-pills" });
  const notices = h("div", { class: "notices" });
  const figures = h("div", {}, h("dl", { class: "tiles", "aria-hidden": "true" },
    Array.from({ length: 7 }, () => h("div", { class: "tile waiting" }))));
  const about = h("div");
  const charts = chartGrid(signal);
  fill(place,
    h("div", { class: "head" }, h("h1", { tabindex: "-1" }, "Overview"), state),
    notices, figures, charts, about);
  let known = false;

  repeat(signal, EVERY, async () => {
    const seen = await api.overview(signal);
    connectionLost(null);
    known = true;
    fill(state, seen.ready ? pill("Ready", "good") : pill("Not ready", "bad"));
    fill(notices, warnings(seen));
    fill(figures, h("dl", { class: "tiles", "aria-label": "Figures of the last seconds" }, tiles(seen)));
    fill(about, h("section", { class: "panel slim", "aria-label": "About this server" }, facts([
      ["Version", seen.version],
      ["Access", AUTH[seen.auth] ?? seen.auth],
      ["Running since", seen.started_at ? `${dateTime(seen.started_at)} (${ago(seen.started_at, seen.now)})` : null],
      ["Segments", count(seen.segments)],
    ])));
    document.getElementById("version").textContent = `Durable Streams ${seen.version}`;
  }, (error) => {
    if (known) connectionLost(error);
    else fill(figures, errorPanel("The figures could not be loaded", error));
  });
  signal.addEventListener("abort", () => connectionLost(null));
}
