// One project: secrets, tokens, origins, quotas, reader keys.

import * as api from "./api.js";
import { confirm, copyField, field, form, open, showOnce } from "./dialogs.js";
import { button, facts, fill, h, meter, pill, PLUS, table } from "./dom.js";
import { errorPanel, errorPlace, showError } from "./errors.js";
import { bytes, count, dateTime, NOTHING, percent } from "./format.js";
import { streamsHash, toPath } from "./names.js";
import { lines, register } from "./projects.js";
import { toast } from "./toast.js";

const whole = (value = null) => h("input", { type: "number", min: "0", step: "1", inputmode: "numeric",
  value: value ?? "", placeholder: "no limit" });
const number = (input) => (input.value === "" ? null : Number(input.value));

function usage({ usage: used, quota }) {
  const line = (label, value, limit, show) => [label, h("span", {},
    limit === null ? show(value) : `${show(value)} of ${show(limit)} (${percent(limit ? value / limit : 1)})`,
    limit !== null && meter(limit ? value / limit : 1, label,
      value >= limit ? "bad" : value >= limit * 0.9 ? "warn" : ""))];
  return used && facts([line("Streams", used.streams, quota.streams, count),
    line("Bytes", used.bytes, quota.bytes, bytes)]);
}

function secrets(project, again) {
  const redraw = () => again().catch((error) => open("The list of secrets is old",
    () => [errorPanel("The project could not be loaded again", error)]));
  const add = async () => {
    try {
      const made = await api.addSecret(project.name);
      redraw();
      await showOnce("New secret",
        "Sign new tokens with it; those of older secrets stay good until you remove these. It is shown now and never again.", made.secret);
    } catch (error) {
      open("The secret could not be made", () => [errorPanel("No secret was added", error)]);
    }
  };
  const remove = async (id) => {
    const ok = await confirm("Remove secret",
      `All tokens that were signed with secret ${id} stop working at once, and event streams of theirs end.`,
      "Remove secret",
      () => api.removeSecret(project.name, id).then(() => true));
    if (!ok) return;
    toast(`Secret ${id} removed.`);
    redraw();
  };
  return h("section", { class: "panel", id: "secrets" },
    h("div", { class: "head section-head" }, h("h2", {}, "Secrets"),
      button("Add secret", add, { id: "add-secret" }, PLUS)),
    project.secrets.length === 0 ? h("p", { class: "muted" }, "None: nobody can make tokens for this project.")
      : table("Secrets", ["Secret", "Created", ""], project.secrets.map(({ id, created_at: created }) => [
        `Secret ${id}`, dateTime(created), button("Remove", () => remove(id),
          { class: "danger-quiet small", "aria-label": `Remove secret ${id}` })])),
    h("p", { class: "hint" },
      "To replace one: add a secret, sign with the new one, and remove the old one when its tokens have expired."));
}

function tokens(project) {
  const mint = async () => {
    const scope = h("select", {}, ["read", "write", "manage"].map((name) => h("option", { value: name }, name)));
    const path = h("input", { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
      placeholder: "rooms/*" });
    const seconds = h("input", { type: "number", min: "1", step: "1", required: true, value: "3600",
      inputmode: "numeric" });
    const made = await form("Mint token", [
      field("Scope", scope, "read; write, which includes read; manage, which includes both and the list of streams."),
      field("Only for the stream", path, "With /* at its end for all below. Empty: all streams of the project."),
      field("Good for so many seconds", seconds),
    ], {
      label: "Mint token",
      submit: () => api.mintToken(project.name, {
        scope: scope.value, expires_in_seconds: Number(seconds.value),
          ...(path.value ? { stream_id: toPath(path.value) } : {}),
      }),
    });
    if (!made) return;
    await open("Token", (close) => [
      h("p", {}, `Send it as Authorization: Bearer. It ends at ${dateTime(made.expires_at)} and is kept nowhere.`),
      copyField("Token", made.token), h("div", { class: "actions" },
        button("Done", () => close(), { class: "primary" }))], "once");
  };
  return h("section", { class: "panel", id: "tokens" }, h("div", { class: "head section-head" }, h("h2", {}, "Tokens"),
    button("Mint token", mint, { id: "mint-token", disabled: project.secrets.length === 0 })),
  h("p", { class: "hint" },
    "Signed with the newest secret. Your own service makes tokens with any JWT library (HS256)."));
}

/** A form that stays on the page. */
function inline(title, id, fields, label, submit) {
  const problem = errorPlace();
  const go = h("button", { type: "submit" }, label);
  return h("section", { class: "panel", id }, h("h2", {}, title), h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      go.setAttribute("aria-busy", "true");
      try {
        await submit();
        showError(problem, null);
      } catch (error) {
        showError(problem, error);
      } finally {
        go.removeAttribute("aria-busy");
      }
    },
  }, fields, problem, h("div", { class: "actions left" }, go)));
}

function origins(project, again) {
  const input = h("textarea", { rows: "3", class: "mono", spellcheck: "false", value: project.cors.join("\n"),
    placeholder: "https://app.example.com" });
  return inline("Origins", "origins",
    [field("Origins of browsers that may use it", input,
    "One a line; * lets in all, none keeps all browsers of other origins out.")],
    "Save origins", async () => {
      await api.setOrigins(project.name, lines(input.value));
      toast("Origins saved.");
      await again();
    });
}

function quotas(project, again) {
  const inputs = { streams: whole(project.quota.streams), bytes: whole(project.quota.bytes),
    body: whole(project.quota.body) };
  return inline("Quotas", "quotas", [
    field("Streams", inputs.streams), field("Bytes", inputs.bytes, "Of all its streams together; more gets 507."),
    field("Bytes of one body", inputs.body, "A larger one gets 413."),
  ], "Save quotas", async () => {
    await api.setQuota(project.name, { streams: number(inputs.streams), bytes: number(inputs.bytes),
      body: number(inputs.body) });
    toast("Quotas saved.");
    await again();
  });
}

function readerKeys(project) {
  const rotate = async () => {
    const path = h("input", { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
      placeholder: "all streams" });
    const ok = await form("Rotate reader keys", [
      h("p", {}, "URLs with an old key (rk=…) become private: shared caches keep none of their answers any more."),
      field("Only for the stream", path, "Empty: all streams of the project."),
    ], { label: "Rotate", danger: true, submit: () => api.rotateReaderKeys(project.name,
      path.value ? toPath(path.value) : null).then(() => true) });
    if (ok) toast(path.value ? "The stream has a new reader key." : "All streams have new reader keys.");
  };
  return h("section", { class: "panel", id: "reader-keys" },
    h("div", { class: "head section-head" }, h("h2", {}, "Reader keys"),
      button("Rotate …", rotate, { id: "rotate-reader-keys" })),
    h("p", { class: "hint" },
      "With its reader key in the URL an answer may lie in shared caches. The key is no credential."));
}

export function showProject(place, { project: name }, signal) {
  const content = h("div", { "aria-busy": "true" }, h("p", { class: "muted" }, "Loading …"));
  const state = h("div", { class: "head-pills" });
  fill(place,
    h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/projects" }, "Projects")),
    h("div", { class: "head" }, h("h1", { tabindex: "-1", class: "break" }, name), state,
      h("div", { class: "actions" }, h("a", { class: "button", href: streamsHash(name) }, "Its streams"))),
    content);
  const load = async () => {
    try {
      const project = await api.oneProject(name, signal);
      fill(state, project.registered ? pill("registered", "good") : pill("streams only"));
      fill(content, project.registered ? registered(project, () => api.oneProject(name, signal)) : plain(project, load));
    } catch (error) {
      if (!signal.aborted) fill(content, errorPanel("The project could not be loaded", error, load));
    } finally {
      content.removeAttribute("aria-busy");
    }
  };
  load();
}

function plain(project, again) {
  return h("section", { class: "panel empty" }, h("h2", {}, "Not registered"),
    h("p", {},
      "This project has streams, but no secrets, origins or quotas. Register it to give it some; its streams stay."),
    button("Register", async () => { if ((await register(project.name)) !== null) again(); }, { class: "primary" }));
}

/** The parts of a registered project. What is saved in one redraws what shows it and leaves alone what is typed elsewhere. */
function registered(project, reload) {
  const again = (...names) => async () => {
    const now = await reload();
    for (const name of names) {
      const part = draw[name](now);
      shown[name].replaceWith(part);
      shown[name] = part;
    }
  };
  const draw = {
    usage: (now) => h("section", { class: "panel slim" }, usage(now) ?? NOTHING),
    secrets: (now) => secrets(now, again("secrets", "tokens")),
    tokens,
    origins: (now) => origins(now, again("origins")),
    quotas: (now) => quotas(now, again("quotas", "usage")),
  };
  const shown = Object.fromEntries(Object.entries(draw).map(([name, part]) => [name, part(project)]));
  return [
    shown.usage,
    h("div", { class: "columns" },
      h("div", { class: "stack" }, shown.secrets, shown.tokens, readerKeys(project)),
      h("div", { class: "stack" }, shown.origins, shown.quotas)),
  ];
}
