// Figures and times as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const NOTHING = "–";

/** 1234567 → 1,234,567. */
export const count = (value) => (isNumber(value) ? whole.format(value) : NOTHING);

/** Exact below 100,000, then 1.2M. */
export const short = (value) => (!isNumber(value) ? NOTHING : value < 100_000 ? count(value) : compact.format(value));

/** A rate: two figures where they matter. */
export function rate(value) {
  if (!isNumber(value)) return NOTHING;
  if (value === 0) return "0";
  if (value < 0.01) return "< 0.01";
  return value < 10 ? trim(value.toFixed(2)) : value < 100 ? trim(value.toFixed(1)) : short(Math.round(value));
}

/** Bytes with KiB, MiB, GiB, TiB. */
export function bytes(value) {
  if (!isNumber(value)) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let size = value, unit = 0;
  while (size >= 1024 && unit < units.length - 1) { size /= 1024; unit += 1; }
  const digits = unit === 0 || size >= 100 ? 0 : size < 10 ? 2 : 1;
  return `${unit === 0 ? whole.format(Math.round(size)) : trim(size.toFixed(digits))} ${units[unit]}`;
}

/** A share of 0 to 1. */
export const percent = (share) => (isNumber(share)
  ? `${trim((share * 100).toFixed(share > 0.1 && share < 0.995 ? 0 : 1))} %` : NOTHING);

/** Seconds as "3 d 4 h". */
export function duration(seconds) {
  if (!isNumber(seconds)) return NOTHING;
  const all = Math.max(0, Math.floor(seconds));
  const parts = [[Math.floor(all / 86400), "d"], [Math.floor(all / 3600) % 24, "h"],
    [Math.floor(all / 60) % 60, "min"], [all % 60, "s"]];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return "0 s";
  return parts.slice(first,
    first + 2).filter(([value]) => value > 0).map(([value, unit]) => `${value} ${unit}`).join(" ");
}

/** Milliseconds since 1970, or an RFC 3339 text, as a Date; null where there is none. */
export function moment(value) {
  if (value === null || value === undefined || value === "") return null;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? null : date;
}

const stamp = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" });
const clockTime = new Intl.DateTimeFormat("sv", { timeStyle: "short" });
const preciseTime = new Intl.DateTimeFormat("sv", { hour: "2-digit", minute: "2-digit", second: "2-digit",
  fractionalSecondDigits: 3 });

/** A time of the viewer's own zone, 2026-03-01 12:00:07. */
export const dateTime = (value) => { const date = moment(value); return date ? stamp.format(date) : NOTHING; };
export const clock = (value) => clockTime.format(value);
export const precise = (value) => preciseTime.format(value).replace(",", ".");

/** "5 min ago"; `now` is the server's clock in milliseconds. */
export function ago(value, now = Date.now()) {
  const date = moment(value);
  if (!date) return NOTHING;
  const seconds = (now - date.getTime()) / 1000;
  if (seconds < -1) return `in ${duration(-seconds).split(" ").slice(0, 2).join(" ")}`;
  return seconds < 5 ? "just now" : `${duration(seconds).split(" ").slice(0, 2).join(" ")} ago`;
}

/** A <time> that shows how long ago, and the whole time when asked. */
export function time(value, now = Date.now()) {
  const date = moment(value);
  const element = document.createElement("time");
  if (!date) { element.textContent = NOTHING; return element; }
  element.dateTime = date.toISOString();
  element.title = dateTime(date);
  element.textContent = ago(date, now);
  return element;
}

/** The position inside an offset token. */
export const position = (token) => { const found = /^\d{16}_(\d{16})$/.exec(token ?? ""); return found
  ? Number(found[1]) : null; };

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

function isNumber(value) { return typeof value === "number" && Number.isFinite(value); }
function trim(text) { return text.includes(".") ? text.replace(/\.?0+$/, "") : text; }
