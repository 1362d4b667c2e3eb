// Elements, and numbers as text.

/** An element with attributes and children; what is null is left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "html") node.innerHTML = value; // MathML that the server made of its table of formulas
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** W_Q with its index below the line. */
export function symbol(text) {
  const [base, index] = text.split("_");
  return el("span", { class: "symbol" }, base, index ? el("sub", {}, index) : null);
}

/** An end of a line and a space, where they are tokens of their own. */
export const visible = (token) => token.replaceAll("\n", "↵").replace(/^ $/, "␣");

/** A name that may break after its dots. */
export const breaking = (name) => name.split(/(?<=[._])/).flatMap((part) => [part, document.createElement("wbr")]);

const minus = (text) => text.replace(/-/g, "−");

/** A number for reading: four digits behind the point. */
export function short(value, kind = "f4") {
  if (kind === "i4" || value === 0) return minus(String(value));
  const size = Math.abs(value);
  return minus(size >= 1e6 || size < 5e-5 ? value.toExponential(2) : value.toFixed(4));
}

/** The shortest decimal that is this very number. */
export function exact(value, kind) {
  if (kind !== "f4") return minus(String(value));
  for (let digits = 6; digits <= 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return minus(String(Number(text)));
  }
  return minus(String(value));
}

export const percent = (share) => `${(share * 100).toFixed(1)} %`;
export const last = (name) => name.slice(name.lastIndexOf(".") + 1);
