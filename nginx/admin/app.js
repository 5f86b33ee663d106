// Entry: which hash shows which view.

import { toName } from "./names.js";
import { start } from "./router.js";
import { showHealth } from "./health.js";
import { showOverview } from "./overview.js";
import { showProject } from "./project.js";
import { showProjects } from "./projects.js";
import { showStream } from "./stream.js";
import { showStreams } from "./streams.js";

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});

start([
  [/^\/$/, "overview", () => "Overview", showOverview],
  [/^\/streams(?:\/(?<project>[^/]+))?$/, "streams", () => "Streams", showStreams],
  [/^\/stream\/(?<project>[^/]+)\/(?<path>.+)$/, "streams", ({ path }) => toName(path), showStream],
  [/^\/projects$/, "projects", () => "Projects", showProjects],
  [/^\/project\/(?<project>[^/]+)$/, "projects", ({ project }) => project, showProject],
  [/^\/health$/, "health", () => "Health", showHealth],
]);
