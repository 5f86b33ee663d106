// Dialogs on <dialog>: the browser keeps the focus inside, Escape closes, and the focus returns to where it was.

import { button, COPY, fresh, h } from "./dom.js";
import { errorPlace, showError } from "./errors.js";
import { toast } from "./toast.js";

/** Opens a dialog; `build(close)` returns its children. Resolves when it is closed, with what `close` was given. */
export function open(title, build, kind = "") {
  const before = document.activeElement;
  const heading = fresh("dialog");
  return new Promise((resolve) => {
    let result;
    const dialog = h("dialog", { class: kind, "aria-labelledby": heading });
    // What is on its way has an answer that must be seen; and what is shown once must not go by a slip of the finger.
    const busy = () => dialog.querySelector("[data-busy]") !== null;
    const close = (value) => {
      if (value === undefined && busy()) return;
      result = value;
      dialog.close();
    };
    dialog.addEventListener("cancel", (event) => { if (kind === "once" || busy()) event.preventDefault(); });
    dialog.append(h("div", { class: "dialog-head" }, h("h2", { id: heading }, title),
      h("button", { type: "button", class: "quiet small", "aria-label": "Close", onclick: () => close() }, "×")));
    dialog.append(...build(close));
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    (dialog.querySelector("[autofocus]") ?? dialog.querySelector("input, textarea, select, .actions button"))?.focus();
  });
}

/**
 * A form in a dialog. `submit` does the work and may throw: the dialog then stays open and shows why. Resolves with what it
 * returned, or undefined when it was cancelled.
 */
export function form(title, fields, { label, danger = false, submit, ready = null, kind = "" }) {
  return open(title, (close) => {
    const problem = errorPlace();
    const go = h("button", { type: "submit", class: danger ? "danger" : "primary" }, label);
    const update = () => { if (ready) go.disabled = !ready(); };
    const element = h("form", {
      novalidate: true,
      oninput: update,
      onsubmit: async (event) => {
        event.preventDefault();
        if (go.disabled || element.dataset.busy) return;
        const invalid = [...element.elements].find((field) => field.willValidate && !field.checkValidity());
        if (invalid) {
          invalid.closest("details")?.setAttribute("open", "");
          invalid.reportValidity();
          invalid.focus();
          return;
        }
        element.dataset.busy = "true";
        go.setAttribute("aria-busy", "true");
        showError(problem, null);
        try {
          close((await submit()) ?? true);
        } catch (error) {
          showError(problem, error);
          problem.scrollIntoView({ block: "nearest" });
        } finally {
          delete element.dataset.busy;
          go.removeAttribute("aria-busy");
        }
      },
    }, fields, problem, h("div", { class: "actions" }, button("Cancel", () => close()), go));
    update();
    return [element];
  }, kind);
}

/** A labelled field with a hint below. */
export function field(label, input, hint = null) {
  const id = fresh("field");
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id }, label), input,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
}

export const checkbox = (label, input, hint = null) => h("div", { class: "field check" },
  h("label", {}, input, h("span", {}, label)), hint && h("p", { class: "hint" }, hint));

/** Asks for the name to be typed before something is destroyed. */
export function confirmByName(title, what, name, label, submit) {
  const input = h("input", { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    required: true, autofocus: true });
  return form(title, [
    h("p", {}, what),
    h("p", { class: "typed-name" }, h("code", {}, name)),
    field("Type the name to confirm", input),
  ], { label, danger: true, submit, ready: () => input.value === name });
}

/** Asks once more, without typing. */
export const confirm = (title, text, label, submit, danger = true) => form(title, [h("p", {}, text)],
  { label, danger, submit });

/** Shows what is never shown again. It has to be closed by a button that says so. */
export function showOnce(title, text, secret, more = []) {
  return open(title, (close) => [
    h("p", {}, text),
    copyField("Value", secret),
    ...more,
    h("div", { class: "actions" }, button("I have stored it", () => close(), { class: "primary" })),
  ], "once");
}

/** A value with a button that copies it. */
export function copyField(label, value) {
  const output = h("input", { type: "text", readonly: true, value, class: "mono", "aria-label": label,
    onfocus: (event) => event.target.select() });
  // Within the dialog: what is outside is out of reach while it is open.
  const done = h("p", { class: "copy-done hint", role: "status" });
  const say = (text) => { done.textContent = text; };
  return h("div", { class: "copy-field" },
    h("div", { class: "copy-row" }, output, button("Copy", () => copy(value, output, say), { class: "copy" },
      COPY)), done);
}

/** Copies, and says whether it did. */
export async function copy(value, field = null, say = toast) {
  try {
    await navigator.clipboard.writeText(value);
    say("Copied.");
  } catch {
    // Without TLS, and away from this machine, the browser has no clipboard for pages.
    field?.select();
    say(field ? "Press Ctrl+C to copy what is selected." : "The browser does not let this page copy.", "warn");
  }
}

