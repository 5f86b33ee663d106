// All projects: those that are registered, and those that merely have streams.

import * as api from "./api.js";
import { field, form, showOnce } from "./dialogs.js";
import { button, fill, h, pill, PLUS, table } from "./dom.js";
import { errorPanel } from "./errors.js";
import { bytes, count, NOTHING, time } from "./format.js";
import { PROJECT_NAME, projectHash, streamsHash } from "./names.js";
import { toast } from "./toast.js";

export const lines = (text) => text.split(/[\s,]+/).filter(Boolean);

/** Registers a project and shows its first secret. Resolves with its name. */
export async function register(given = null) {
  const name = h("input", {
    type: "text", required: true, value: given ?? "", readonly: given !== null, autofocus: true, autocomplete: "off",
      autocapitalize: "off", spellcheck: "false",
    pattern: PROJECT_NAME.source.slice(1, -1), maxlength: "64",
  });
  const origins = h("textarea", { rows: "2", class: "mono", spellcheck: "false",
    placeholder: "https://app.example.com" });
  const made = await form(given === null ? "Create project" : "Register project", [
    field("Name", name, "1 to 64 letters, digits and . _ - ~"),
    field("Origins of browsers that may use it", origins,
      "One a line; * lets in all. May stay empty, and be changed later."),
  ], { label: given === null ? "Create" : "Register", submit: () => api.createProject(name.value,
    lines(origins.value)) });
  if (!made) return null;
  toast(`Project ${made.name} created.`);
  await showOnce("First secret",
    `Whoever has this secret can make tokens for ${made.name}. It is shown now and never again.`, made.secret.secret);
  return made.name;
}

const row = (project) => [
  h("a", { href: projectHash(project.name), class: "name" }, project.name),
  project.registered ? pill("registered", "good") : pill("streams only"),
  project.usage ? count(project.usage.streams) : NOTHING,
  project.usage ? bytes(project.usage.bytes) : NOTHING,
  project.registered ? count(project.secrets.length) : NOTHING,
  project.created_at ? time(project.created_at) : NOTHING,
  h("a", { href: streamsHash(project.name) }, "Streams", h("span", { class: "hidden" }, ` of ${project.name}`)),
];

export function showProjects(place, _, signal) {
  const content = h("div", { "aria-busy": "true" }, h("p", { class: "muted" }, "Loading …"));
  const create = async () => {
    const name = await register();
    if (name !== null && !signal.aborted) location.hash = projectHash(name);
  };
  fill(place,
    h("div", { class: "head" }, h("h1", { tabindex: "-1" }, "Projects"),
      button("Create project", create, { class: "primary", id: "create-project" }, PLUS)),
    content);
  const load = async () => {
    try {
      const { projects } = await api.projects(signal);
      fill(content, projects.length === 0
        ? h("section", { class: "panel empty" }, h("h2", {}, "No projects yet"),
          h("p", {}, "A project has secrets, origins and quotas of its own."))
        : h("section", { class: "panel" }, table("Projects",
          ["Name", "Kind", ["Streams", "number"], ["Bytes", "number"], ["Secrets", "number"], "Created", ""],
            projects.map(row))));
    } catch (error) {
      if (!signal.aborted) fill(content, errorPanel("The projects could not be loaded", error, load));
    } finally {
      content.removeAttribute("aria-busy");
    }
  };
  load();
}
