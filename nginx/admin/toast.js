// Short messages at the edge of the page, read out by screen readers.

import { h } from "./dom.js";

const SHOWN_FOR = 5_000;

export function toast(text, kind = "good") {
  const place = document.getElementById("toasts");
  const close = () => item.remove();
  const item = h("div", { class: `toast ${kind}` }, h("span", {}, text),
    h("button", { type: "button", class: "quiet small", "aria-label": "Dismiss message", onclick: close }, "×"));
  place.append(item);
  while (place.children.length > 4) place.firstElementChild.remove();
  setTimeout(close, SHOWN_FOR);
}
