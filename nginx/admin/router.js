// Views by location.hash. A view is `show(place, parameters, signal)`; the signal ends when another is shown.

import { fill, h } from "./dom.js";

let current = null;

/** `routes`: [pattern, tab, title, show]; groups of the pattern are the parameters, and `query` is what follows `?`. */
export function start(routes) {
  addEventListener("hashchange", () => route(routes));
  route(routes, true);
}

function route(routes, first = false) {
  const hash = location.hash.slice(1) || "/";
  if (!hash.startsWith("/")) return; // An anchor, such as the skip link's.
  const [path, search = ""] = split(hash);
  const query = new URLSearchParams(search);
  const place = document.getElementById("main");
  for (const [pattern, tab, title, show] of routes) {
    const found = pattern.exec(path);
    if (!found) continue;
    const parameters = { ...found.groups, query };
    for (const name of ["project"]) if (parameters[name] !== undefined) parameters[name] = decode(parameters[name]);
    // Another page of the same list keeps the focus where it is.
    const key = `${tab} ${path}`;
    const same = current?.key === key;
    current?.ending.abort();
    const ending = new AbortController();
    current = { key, ending };
    document.title = `${title(parameters)} · Durable Streams`;
    for (const link of document.querySelectorAll("[data-tab]")) {
      if (link.dataset.tab === tab) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    show(place, parameters, ending.signal, { same });
    if (!same) {
      scrollTo(0, 0);
      if (!first) focusHeading(place);
    }
    return;
  }
  fill(place, h("section", { class: "panel" }, h("h1", { tabindex: "-1" }, "Nothing here"),
    h("p", {}, "This address leads nowhere. ", h("a", { href: "#/" }, "Back to the overview"))));
}

/** Screen readers hear where they are, and the next Tab begins there. */
export function focusHeading(place) {
  place.querySelector("h1")?.focus({ preventScroll: true });
}

function split(hash) {
  const mark = hash.indexOf("?");
  return mark < 0 ? [hash] : [hash.slice(0, mark), hash.slice(mark + 1)];
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
