// How a failure is shown: what failed, code, message, what to do.

import { button, fill, h } from "./dom.js";

/** A failure that is our own fault is shown too, rather than lost in the console. */
export function describe(error) {
  const known = typeof error?.code === "string" && typeof error?.advice === "string";
  return {
    code: known ? error.code : "PAGE_ERROR",
    message: String(error?.message ?? error),
    advice: known ? error.advice : "Reload the page. If it happens again, report this message.",
  };
}

/** A block that stands where the content would have been. */
export function errorPanel(title, error, retry = null) {
  const { code, message, advice } = describe(error);
  return h("section", { class: "panel error", role: "alert" },
    h("h2", {}, title),
    h("p", {}, h("code", { class: "error-code" }, code), " ", h("span", { class: "error-message" }, message)),
    h("p", { class: "error-advice" }, advice),
    retry && button("Try again", retry));
}

/** The same inside a form; empty again with null. */
export function showError(place, error) {
  if (!error) {
    place.hidden = true;
    fill(place);
    return;
  }
  const { code, message, advice } = describe(error);
  place.hidden = false;
  fill(place,
    h("p", {}, h("code", { class: "error-code" }, code), " ", h("span", { class: "error-message" }, message)),
    h("p", { class: "error-advice" }, advice));
}

export const errorPlace = () => h("div", { class: "form-error", role: "alert", hidden: true });
