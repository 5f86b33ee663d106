// Requests to the server. Errors of all kinds become an ApiError with code, message and advice.

import { adviceFor } from "./advice.js";

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
    this.advice = adviceFor(code, status);
  }
}

const WAIT = 20_000;
/** Without a name and password that the page's own address may hold: browsers refuse to send requests to such URLs. */
const BASE = location.origin + location.pathname.replace(/[^/]*$/, "");

/** One request below /admin/; returns the Response, or throws an ApiError. */
async function send(method, path, { body, headers = {}, signal } = {}) {
  const timeout = AbortSignal.timeout(WAIT);
  const own = method === "GET" || method === "HEAD" ? {} : { "X-DS-Admin": "1" };
  let response;
  try {
    response = await fetch(BASE + path, {
      method, body, headers: { ...own, ...headers }, cache: "no-store", credentials: "same-origin", redirect: "error",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    if (timeout.aborted) throw new ApiError(0, "NO_ANSWER", `the server did not answer within ${WAIT / 1000} seconds`);
    throw new ApiError(0, "UNREACHABLE", "the server cannot be reached");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/** What an answer with an error status says. */
export async function refusal(response) {
  let code = `HTTP_${response.status}`;
  let message = response.statusText || "the request failed";
  try {
    const document = await response.json();
    if (typeof document.error?.code === "string") code = document.error.code;
    if (typeof document.error?.message === "string") message = document.error.message;
  } catch {
    // nginx's own page, or nothing at all.
  }
  return new ApiError(response.status, code, message);
}

async function json(method, path, document, options = {}) {
  const response = await send(method, path, document === undefined ? options : {
    ...options, body: JSON.stringify(document), headers: { "Content-Type": "application/json" },
  });
  const text = await response.text();
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(response.status, "ANSWER_INVALID", "the answer is not JSON");
  }
}

const project = (name) => `api/projects/${encodeURIComponent(name)}`;

export const overview = (signal) => json("GET", "api/overview", undefined, { signal });
export const history = (range, signal) => json("GET", `api/history?range=${range}`, undefined, { signal });
export const processes = (signal) => json("GET", "api/processes", undefined, { signal });
export const projects = (signal) => json("GET", "api/projects", undefined, { signal });
export const oneProject = (name, signal) => json("GET", project(name), undefined, { signal });
export const createProject = (name, cors) => json("POST", "api/projects", cors.length ? { name, cors } : { name });
export const setOrigins = (name, origins) => json("PUT", `${project(name)}/cors`, { origins });
export const setQuota = (name, quota) => json("PUT", `${project(name)}/quota`, quota);
export const addSecret = (name) => json("POST", `${project(name)}/secrets`, {});
export const removeSecret = (name, id) => json("DELETE", `${project(name)}/secrets/${encodeURIComponent(id)}`);
export const mintToken = (name, wanted) => json("POST", `${project(name)}/tokens`, wanted);
export const rotateReaderKeys = (name, path) => json("POST", `${project(name)}/reader-keys/rotate`,
  path ? { path } : {});

export function streams(name, { prefix = "", after = "", limit = 100 } = {}, signal) {
  const query = new URLSearchParams({ prefix, after, limit });
  if (!after) query.delete("after");
  if (!prefix) query.delete("prefix");
  return json("GET", `${project(name)}/streams?${query}`, undefined, { signal });
}

export const oneStream = (name, path, signal) => json("GET", `${project(name)}/streams/${path}`, undefined, { signal });

/** The stream itself, through the protocol, with an administrator's rights. */
const stream = (name, path) => `v1/${encodeURIComponent(name)}/stream/${path}`;
export const streamUrl = (name, path) => BASE + stream(name, path);
export const createStream = (name, path, headers, body, isPublic) =>
  send("PUT", stream(name, path) + (isPublic ? "?public=true" : ""), { headers, body });
export const appendTo = (name, path, headers, body) => send("POST", stream(name, path), { headers, body });
export const deleteStream = (name, path) => send("DELETE", stream(name, path));
