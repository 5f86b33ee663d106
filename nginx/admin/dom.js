// Elements without markup: whatever comes from the server is text, never HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element. `attributes`: `class`, `dataset`, `on…` listeners, properties such as `disabled`, and attributes.
 * Children are nodes, strings and numbers; null, undefined and false are left out.
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) set(element, key, value);
  append(element, children);
  return element;
}

function set(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key === "class") element.className = value;
  else if (key === "dataset") Object.assign(element.dataset, value);
  else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else if (key === "value") element.value = value;
  else if (value === true) element.setAttribute(key, "");
  else element.setAttribute(key, value);
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Replaces all children. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

let numbers = 0;

/** An id that nothing else on the page has. */
export const fresh = (prefix) => `${prefix}-${++numbers}`;

/** A drawn symbol; decoration, so assistive technology skips it. */
export function icon(path, size = 18) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 24 24", width: size, height: size, fill: "none", stroke: "currentColor", "stroke-width": 2,
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true", focusable: "false",
  })) svg.setAttribute(key, value);
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export const PLUS = "M12 5v14M5 12h14";
export const COPY = "M9 9h11v11H9zM5 15H4V4h11v1";
export const TRASH = "M4 7h16M10 11v6M14 11v6M6 7l1 13h10l1-13M9 7V4h6v3";

export function button(label, onclick, attributes = {}, symbol = null) {
  return h("button", { type: "button", ...attributes, onclick }, symbol && icon(symbol, 16), h("span", {}, label));
}

/** A coloured word with a dot, so that colour is not the only sign. */
export const pill = (text, kind = "") => h("span", { class: `pill ${kind}` }, text);

/** Rows of [label, value]; a value of null is left out. */
export function facts(rows) {
  return h("dl", { class: "facts" }, rows
    .filter((row) => row && row[1] !== null && row[1] !== undefined)
    .map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, value))));
}

/** A table whose rows become cards on a narrow screen. `columns`: [label, class?]; rows: lists of children. */
export function table(caption, columns, rows) {
  const names = columns.map((column) => (Array.isArray(column) ? column : [column, ""]));
  return h("div", { class: "table-wrap" }, h("table", {},
    h("caption", { class: "hidden" }, caption),
    h("thead", {}, h("tr", {}, names.map(([label, kind]) =>
      h("th", { scope: "col", class: kind }, label || h("span", { class: "hidden" }, "Actions"))))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, index) =>
      h(index === 0 ? "th" : "td", {
        class: names[index][1], scope: index === 0 ? "row" : null, "data-label": names[index][0] || null,
      }, cell)))))));
}

/** A bar that shows a share, with its words beside it. */
export function meter(share, label, kind = "", mark = null) {
  const value = Math.max(0, Math.min(1, share));
  const bar = h("div", { class: "meter-bar" });
  bar.style.width = `${(value * 100).toFixed(2)}%`;
  const track = h("div", {
    class: `meter ${kind}`, role: "meter", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100",
    "aria-valuenow": (value * 100).toFixed(0),
  }, bar);
  if (mark !== null) {
    const line = h("div", { class: "meter-mark" });
    line.style.left = `${Math.min(100, mark * 100)}%`;
    track.append(line);
  }
  return track;
}
