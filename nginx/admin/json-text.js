// JSON as text: split and laid out without parsing values, since a number or an escape must be shown as it was sent.

const SPACE = /\s/;

/** The end of the string that begins at `at`, behind its closing quote. */
function stringEnd(text, at) {
  for (let index = at + 1; index < text.length; index += 1) {
    if (text[index] === "\\") index += 1;
    else if (text[index] === '"') return index + 1;
  }
  return text.length;
}

/** The texts of the elements of an array. */
export function elements(text) {
  const found = [];
  let depth = 0;
  let from = text.indexOf("[") + 1;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (character === '"') index = stringEnd(text, index) - 1;
    else if (character === "[" || character === "{") depth += 1;
    else if (character === "]" || character === "}") depth -= 1;
    if ((character === "," && depth === 1) || (depth === 0 && index >= from)) {
      const element = text.slice(from, index).trim();
      if (element !== "") found.push(element);
      from = index + 1;
    }
  }
  return found;
}

/** The same JSON over several lines, two spaces a level. */
export function layOut(text) {
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (character === '"') {
      const end = stringEnd(text, index);
      out += text.slice(index, end);
      index = end - 1;
    } else if (character === "[" || character === "{") {
      const close = nextThing(text, index + 1);
      if (text[close] === "]" || text[close] === "}") {
        out += character + text[close];
        index = close;
      } else {
        depth += 1;
        out += character + line();
      }
    } else if (character === "]" || character === "}") {
      depth -= 1;
      out += line() + character;
    } else if (character === ",") out += character + line();
    else if (character === ":") out += ": ";
    else if (!SPACE.test(character)) out += character;
  }
  return out;
}

function nextThing(text, at) {
  let index = at;
  while (index < text.length && SPACE.test(text[index])) index += 1;
  return index;
}
