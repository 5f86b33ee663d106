// One chart: dygraphs draws the line; words and a table say the same to those who do not see it.

import { fill, fresh, h, table } from "./dom.js";
import { clock, NOTHING } from "./format.js";

const ROWS = 12;

/** dygraphs' legend writes markup with inline styles, which this page forbids; the caption shows the value instead. */
function withoutLegend() {
  if (!globalThis.Dygraph) return false;
  Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => String(plugin.prototype) !== "Legend Plugin");
  return true;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Chart {
  #kind; #graph = null; #canvas; #value; #summary; #details; #points = []; #step = 10;

  constructor(kind) {
    this.#kind = kind;
    const title = fresh("chart");
    this.#canvas = h("div", { class: "chart-canvas", tabindex: "0", role: "img",
      onkeydown: (event) => this.#key(event), onblur: () => this.#leave() });
    this.#value = h("span", { class: "chart-value", "aria-hidden": "true" });
    this.#summary = h("p", { class: "chart-summary", id: fresh("summary") }, "Loading …");
    this.#details = h("details", { class: "chart-table", ontoggle: () => this.#fillTable() },
      h("summary", {}, "Table"), h("div"));
    this.#canvas.setAttribute("aria-labelledby", `${title} ${this.#summary.id}`);
    this.element = h("figure", { class: "chart panel", dataset: { series: kind.series } },
      h("figcaption", {}, h("span", { id: title, class: "chart-title" }, kind.title), this.#value),
      this.#canvas, this.#summary, this.#details);
  }

  /** Takes an answer of /admin/api/history. */
  show({ start, step_seconds: step, series }) {
    this.#step = step;
    this.#points = (series[this.#kind.series] ?? []).map((value, index) => [start + index * step * 1000, value]);
    this.paint();
    this.#describe();
    if (this.#details.open) this.#fillTable();
  }

  /** Draws again, in the colours of the theme. */
  paint() {
    if (!this.element.isConnected) return;
    const rows = this.#points.map(([at, value]) => [new Date(at), value]);
    if (rows.length < 2) return;
    if (!withoutLegend()) {
      fill(this.#canvas,
        h("p", { class: "muted" },
        "The chart library is not installed (Debian: libjs-dygraphs). The table has the figures."));
      return;
    }
    const { show, top, binary, title } = this.#kind;
    const highest = Math.max(...this.#known().map(([, value]) => value), 0);
    const line = colour(this.#kind.colour);
    const options = {
      file: rows, labels: ["Time", title], colors: [line], gridLineColor: colour("--grid"),
        axisLineColor: colour("--grid"),
      valueRange: [0, top ?? (highest > 0 ? highest * 1.12 : 1)],
    };
    if (this.#graph) {
      this.#graph.updateOptions(options);
      return;
    }
    const { file, ...others } = options;
    this.#graph = new Dygraph(this.#canvas, file, {
      ...others, legend: "never", fillGraph: true, fillAlpha: 0.14, strokeWidth: 1.8, axisLabelFontSize: 12,
        connectSeparatedPoints: false,
      drawPoints: false, drawIsolatedPoints: true, isolatedPointRadius: 2, highlightCircleSize: 4,
        interactionModel: {}, labelsKMG2: Boolean(binary),
      axes: {
        x: { drawGrid: false, axisLabelFormatter: (at) => clock(at), pixelsPerLabel: 60 },
        y: { axisLabelFormatter: (value) => (value === 0 ? "" : show(value)), axisLabelWidth: 72, pixelsPerLabel: 34 },
      },
      highlightCallback: (event, at, points) => this.#point(at, points[0]?.yval),
      unhighlightCallback: () => this.#now(),
    });
  }

  destroy() {
    this.#graph?.destroy();
    this.#graph = null;
  }

  #known() { return this.#points.filter(([, value]) => value !== null && value !== undefined); }

  #describe() {
    const known = this.#known();
    const { show } = this.#kind;
    if (known.length === 0) {
      fill(this.#summary, "Nothing was measured in this time.");
    } else {
      const values = known.map(([, value]) => value);
      const [peakAt, peak] = known.reduce((best, point) => (point[1] > best[1] ? point : best));
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      fill(this.#summary,
        `Now ${show(values.at(-1))}, mean ${show(mean)}, highest ${show(peak)} at ${clock(peakAt)}, lowest ${show(Math.min(...values))}.`);
    }
    this.#now();
  }

  #now() {
    const last = this.#known().at(-1);
    fill(this.#value, last ? this.#kind.show(last[1]) : NOTHING);
  }

  #point(at, value) {
    fill(this.#value, value === null || value === undefined || Number.isNaN(value) ? NOTHING : this.#kind.show(value),
      h("span", { class: "chart-at" }, ` ${clock(at)}`));
  }

  /** Arrow keys move along the line. */
  #key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 };
    if (!this.#graph || !Object.hasOwn(steps, event.key)) return;
    event.preventDefault();
    const rows = this.#graph.numRows();
    const from = this.#graph.getSelection();
    const row = Math.max(0, Math.min(rows - 1, (from < 0 ? rows - 1 : from) + steps[event.key]));
    this.#graph.setSelection(row);
    this.#point(this.#points[row][0], this.#points[row][1]);
  }

  #leave() {
    this.#graph?.clearSelection();
    this.#now();
  }

  /** Twelve parts of the range, each with its mean and its extremes. */
  #fillTable() {
    if (!this.#details.open) return;
    const { show, title } = this.#kind;
    const size = Math.ceil(this.#points.length / ROWS) || 1;
    const rows = [];
    for (let from = 0; from < this.#points.length; from += size) {
      const part = this.#points.slice(from, from + size);
      const values = part.map(([, value]) => value).filter((value) => value !== null && value !== undefined);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      rows.push([`${clock(part[0][0])}–${clock(part.at(-1)[0] + this.#step * 1000)}`,
        ...(values.length ? [show(mean), show(Math.min(...values)), show(Math.max(...values))] : [NOTHING, NOTHING,
          NOTHING])]);
    }
    fill(this.#details.lastElementChild, table(`${title} by time`,
      ["Time", ["Mean", "number"], ["Lowest", "number"], ["Highest", "number"]], rows));
  }
}
