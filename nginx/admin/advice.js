// What to do about an error, by its code; by its status where the code is not known.

const CODES = {
  UNREACHABLE: "Check that the server runs and that this machine can reach it. The page goes on by itself once it answers.",
  NO_ANSWER: "The server may be overloaded or its disk slow. Look at Health, then try again.",
  CROSS_SITE: "Open this page by the address under which nginx serves it, without another site in between, and try again.",
  PASSWORD_REQUIRED: "Reload the page and sign in as admin. The password stands in the file admin-password of the data directory.",
  PROJECT_NOT_FOUND: "It is not registered and has no streams. Go back to the list of projects.",
  STREAM_NOT_FOUND: "It may have expired or been deleted. Go back to the list of streams.",
  STREAM_GONE: "It was deleted, but forks still need its data. Use another name, or delete the forks first.",
  STREAM_EXISTS: "A stream of this name exists with other settings. Choose another name, or delete that stream first.",
  STREAM_CLOSED: "A closed stream takes nothing more. Create a new stream for further data.",
  CONTENT_TYPE_MISMATCH: "Send the content type with which the stream was created.",
  JSON_INVALID: "Correct the JSON: one value, or an array of messages.",
  JSON_EMPTY: "An empty array holds no message. Append at least one.",
  BODY_EMPTY: "Append at least one byte, or only close the stream.",
  BODY_TOO_LARGE: "Append it in smaller parts, or raise max_body_bytes or the project's limit of bodies.",
  PATH_INVALID: "A name has no empty parts, no . or .. as a part, no backslash and no control characters.",
  URI_TOO_LONG: "A path may have 2048 bytes; choose a shorter name.",
  TTL_INVALID: "The lifetime is a whole number of seconds.",
  EXPIRES_AT_INVALID: "Give date and time, and a time that can be read.",
  RETENTION_INVALID: "Retention is given in whole numbers.",
  OFFSET_GONE: "This part is no longer kept, or the stream was made anew. Start the tail again.",
  QUOTA_EXCEEDED: "Raise the project's quota on its page, or delete streams of it.",
  STORAGE_FULL: "Free space on the disk, or raise disk_high_water. Reads and deletes go on meanwhile.",
  STORAGE_FAILED: "The disk reports errors. Look at the server's log before anything else.",
  SEGMENT_DAMAGED: "Run “durable-streams verify”, and restore the damaged part from a backup.",
  RATE_LIMITED: "Wait a second and try again, or raise rate_per_address or rate_per_project.",
  TOO_MANY_READERS: "Close another live tail, or raise live_per_address or live_per_project.",
  BUSY: "Too many writes wait. Try again in a second.",
  UNAVAILABLE: "A process is being restarted. Try again in a few seconds; if it stays so, look at Health and the log.",
  TIMEOUT: "The server is overloaded or its disk slow. Look at Health, then try again.",
  NOT_READY: "The server is starting or stopping. Try again in a few seconds.",
  INTERNAL: "The server's log says why. Try again; if it happens again, report the line from the log.",
};

const STATUSES = [
  [400, "Correct what the message names and try again."],
  [401, "Reload the page and sign in as admin. The password stands in the file admin-password of the data directory."],
  [403, "This address or these credentials are not allowed. See admin_allow in the settings."],
  [404, "It may have been deleted meanwhile. Go back and reload the list."],
  [409, "It conflicts with what is there now. Reload and look before trying again."],
  [413, "Send less at once, or raise max_body_bytes."],
  [429, "Wait a second and try again."],
  [502, "A process is being restarted. Try again in a few seconds."],
  [503, "The server is busy. Try again in a few seconds."],
  [507, "Free space on the disk, or raise the quota. Reads and deletes go on meanwhile."],
];

/** One sentence or two for the operator. */
export function adviceFor(code, status) {
  if (Object.hasOwn(CODES, code)) return CODES[code];
  const found = STATUSES.find(([number]) => number === status);
  if (found) return found[1];
  return status >= 500 ? "The server's log says why. Try again in a few seconds." : "Reload the page and try again.";
}
