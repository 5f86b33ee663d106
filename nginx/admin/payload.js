// How content is shown: JSON laid out, text as it is, bytes as hex or base64. Always as text nodes.

import { button, fill, h } from "./dom.js";
import { bytes, count } from "./format.js";
import { layOut } from "./json-text.js";

const SHOWN = 4_096;
const media = (type) => type.split(";")[0].trim().toLowerCase();

export const isJSON = (type) => media(type) === "application/json";
export const isText = (type) => media(type).startsWith("text/");

export function fromBase64(text) {
  return Uint8Array.from(atob(text.replace(/\s+/g, "")), (character) => character.charCodeAt(0));
}

function toBase64(data) {
  let binary = "";
  for (let at = 0; at < data.length; at += 8_192) binary += String.fromCharCode(...data.subarray(at, at + 8_192));
  return btoa(binary).replace(/(.{76})/g, "$1\n");
}

/** Offset, sixteen bytes, and what of them can be read. */
function toHex(data) {
  const lines = [];
  for (let at = 0; at < data.length; at += 16) {
    const part = [...data.subarray(at, at + 16)];
    const pairs = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const plain = part.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${pairs.padEnd(47)}  ${plain}`);
  }
  return lines.join("\n");
}

function lay(message, view) {
  return message.json !== undefined && view !== "compact" ? layOut(message.json) : message.json ?? message.text;
}

/** `message`: one of { json }, { text } or { data } (bytes). Large ones are cut, with a button that shows the rest. */
export function show(message, view) {
  const place = h("pre", { class: "payload", tabindex: "0" });
  const binary = message.data !== undefined;
  const whole = () => (binary ? (view === "base64" ? toBase64(message.data) : toHex(message.data))
    : lay(message, view));
  if (binary && message.data.length > SHOWN) {
    const start = message.data.subarray(0, SHOWN);
    fill(place, view === "base64" ? toBase64(start) : toHex(start));
  } else if (!binary && whole().length > SHOWN) {
    fill(place, whole().slice(0, SHOWN));
  } else {
    return fill(place, whole());
  }
  const rest = binary ? message.data.length - SHOWN : whole().length - SHOWN;
  const more = button(`Show ${binary ? bytes(rest) : `${count(rest)} characters`} more`, () => {
    fill(place, whole());
    more.remove();
    place.focus();
  }, { class: "quiet small" });
  return h("div", {}, place, more);
}

/** Roughly how much memory it holds. */
export const weight = (message) => message.data?.length ?? (message.text ?? message.json).length;
