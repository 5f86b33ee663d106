// Names of streams: as people type them, and as URLs have them.

/** Typed name → path of a URL. What a path may hold unescaped stays, so `a:b` is the stream that clients call `a:b`. */
export const toPath = (name) => encodeURI(name.toWellFormed()).replace(/[?#]/g, encodeURIComponent);

/** Path of a URL → what is shown. A path that is no UTF-8 is shown as it is. */
export function toName(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/**
 * Whether browsers send the path as it is. Clients can make streams whose names hold characters that browsers escape, such as
 * a bare `<`; under the escaped name a page would reach another stream.
 */
export const isReachable = (path) => new URL(`/${path}`, "http://localhost").pathname === `/${path}`;

/** `#/stream/PROJECT/PATH` */
export const streamHash = (project, path) => `#/stream/${encodeURIComponent(project)}/${path.replace(/\?/g, "%3F")}`;
export const projectHash = (project) => `#/project/${encodeURIComponent(project)}`;
export function streamsHash(project, prefix = "", after = "") {
  const query = new URLSearchParams();
  if (prefix) query.set("prefix", prefix);
  if (after) query.set("after", after);
  const text = query.toString();
  return `#/streams/${encodeURIComponent(project)}${text ? `?${text}` : ""}`;
}

/** Where clients find it. */
export const publicPath = (project, path) => (project === "_default" ? `/v1/stream/${path}`
  : `/v1/${project}/stream/${path}`);

export const PROJECT_NAME = /^[A-Za-z0-9_.~\-]{1,64}$/;
