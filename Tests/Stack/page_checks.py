"""What is asked of a page as a whole, as JavaScript that runs in it."""

from __future__ import annotations

# How much of the canvases of each chart has a colour.
INK = """
[...document.querySelectorAll(".chart")].map((chart) => [chart.dataset.series, [...chart.querySelectorAll("canvas")].reduce((sum, canvas) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let inked = 0;
  for (let at = 3; at < data.length; at += 4) if (data[at] > 40) inked += 1;
  return sum + inked / (data.length / 4);
}, 0)])
"""

# Texts whose colour stands out too little from what is behind them (WCAG 2.2, 1.4.3): [text, ratio].
FAINT = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = ([r, g, b, a], below) => [r, g, b].map((value, index) => value * a + below[index] * (1 - a));
  const behind = (element) => { if (!element) return [255, 255, 255];
    const colour = parse(getComputedStyle(element).backgroundColor); return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(element.parentElement)); };
  const light = (colour) => colour.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const found = [];
  const walker = document.createTreeWalker(document.querySelector("dialog[open]") ?? document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ checkVisibilityCSS: true }) || element.closest(":disabled, .hidden")) continue;
    const style = getComputedStyle(element);
    const below = behind(element);
    const [a, b] = [light(over(parse(style.color), below)), light(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push([walker.currentNode.data.trim(), ratio.toFixed(2)]);
  }
  return found;
}
"""

# What a screen reader could not name.
NAMELESS = """
() => {
  const texts = (ids) => (ids ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join("");
  const name = (element) => element.getAttribute("aria-label") || texts(element.getAttribute("aria-labelledby"))
    || [...(element.labels ?? [])].map((label) => label.textContent).join("") || element.textContent.trim() || element.getAttribute("title");
  const shown = (element) => element.checkVisibility() && element.type !== "hidden";
  const nameless = [...document.querySelectorAll("button, a, input, select, textarea, [role=img], [role=log], [role=meter], dialog, nav, section[role], table")]
    .filter((element) => shown(element) && !name(element)).map((element) => element.outerHTML.slice(0, 120));
  const headings = document.querySelectorAll("h1").length;
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const twice = ids.filter((id, index) => ids.indexOf(id) !== index);
  return [...nameless, ...(headings === 1 ? [] : [`${headings} h1`]), ...twice];
}
"""
