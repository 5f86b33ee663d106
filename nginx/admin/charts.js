// Charts of the last hour or day. Each says in words what it shows, and has its figures as a table.

import * as api from "./api.js";
import { Chart } from "./chart.js";
import { fill, fresh, h } from "./dom.js";
import { describe } from "./errors.js";
import { bytes, percent, rate } from "./format.js";
import { repeat } from "./refresh.js";

const perSecond = (value) => `${rate(value)}/s`;
const CHARTS = [
  { title: "Appends", series: "appends_per_second", show: perSecond, colour: "--line-1" },
  { title: "Bytes written", series: "append_bytes_per_second", show: (value) => `${bytes(value)}/s`, binary: true,
    colour: "--line-2" },
  { title: "Reads", series: "reads_per_second", show: perSecond, colour: "--line-3" },
  { title: "Live readers", series: "live_readers", show: rate, colour: "--line-4" },
  { title: "Append time, 99th percentile", series: "append_p99_milliseconds", show: (value) => `${rate(value)} ms`,
    colour: "--line-5" },
  { title: "Cache hit rate", series: "cache_hit_rate", show: percent, top: 1, colour: "--line-3" },
  { title: "Errors", series: "errors_per_second", show: perSecond, colour: "--line-6" },
  { title: "Disk in use", series: "disk_used_bytes", show: bytes, binary: true, colour: "--line-2" },
];
const EVERY = { hour: 10, day: 60 };

/** The section with all charts; it lives until the signal ends. */
export function chartGrid(signal) {
  const charts = CHARTS.map((kind) => new Chart(kind));
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
  let range = "hour";
  let step = new AbortController();

  const choose = (value) => {
    range = value;
    step.abort();
    step = new AbortController();
    const both = AbortSignal.any([signal, step.signal]);
    repeat(both, EVERY[range], async () => {
      const seen = await api.history(value, both);
      if (both.aborted) return;
      problem.hidden = true;
      for (const chart of charts) chart.show(seen);
    }, (error) => {
      const { code, message, advice } = describe(error);
      problem.hidden = false;
      fill(problem, `The charts could not be loaded: ${code}, ${message}. ${advice}`);
    });
  };

  const name = fresh("range");
  const switcher = h("fieldset", { class: "switcher" }, h("legend", { class: "hidden" }, "Range of the charts"),
    [["hour", "Last hour"], ["day", "Last day"]].map(([value, label]) => h("label", {},
      h("input", { type: "radio", name, value, checked: value === range, onchange: () => choose(value) }),
        h("span", {}, label))));
  const section = h("section", { "aria-label": "Charts" },
    h("div", { class: "head section-head" }, h("h2", {}, "History"), switcher),
    problem,
    h("div", { class: "charts" }, charts.map((chart) => chart.element)));

  const repaint = () => charts.forEach((chart) => chart.paint());
  document.addEventListener("theme", repaint, { signal });
  signal.addEventListener("abort", () => charts.forEach((chart) => chart.destroy()));
  queueMicrotask(() => choose(range));
  return section;
}
