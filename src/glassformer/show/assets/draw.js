"use strict";
// Colour, and the elements that everything is drawn with.

const WHOLE = 16; // up to so many columns a step is a table of numbers, beyond it a heat map
const LONG = 64; // and up to so many rows
const THUMB = 52; // pixels
const WIDE = 60;
const NARROW = 34;

// ---------------------------------------------------------------- colour

let tones = {};

function readTones() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["plus", "minus", "share", "hidden"]) {
    tones[name] = style.getPropertyValue(`--${name}`).split(",").map((part) => Number(part));
  }
}

function tone(step, value) {
  if (value <= data.hidden) return { rgb: tones.hidden, strength: 0.3 };
  if (!step.peak) return null;
  const strength = Math.min(Math.abs(value) / (step.share ? 1 : step.peak), 1);
  return { rgb: step.share ? tones.share : value < 0 ? tones.minus : tones.plus, strength };
}

function background(step, value) {
  const found = tone(step, value);
  return found ? `rgba(${found.rgb.join(",")},${(found.strength * 0.82).toFixed(3)})` : "transparent";
}

function ink(step, value) {
  const found = tone(step, value);
  return found && found.strength > 0.62 ? "var(--on)" : "inherit";
}

function paint(canvas, view) {
  canvas.width = view.columns;
  canvas.height = view.rows;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = context.createImageData(view.columns, view.rows);
  const pixels = image.data;
  for (let r = 0; r < view.rows; r++) {
    for (let c = 0; c < view.columns; c++) {
      const found = tone(view.step, view.value(r, c));
      if (!found) continue;
      const at = (r * view.columns + c) * 4;
      pixels[at] = found.rgb[0];
      pixels[at + 1] = found.rgb[1];
      pixels[at + 2] = found.rgb[2];
      pixels[at + 3] = found.strength * 235;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// ---------------------------------------------------------------- elements

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") node.style.cssText = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// Puts the parts that are there.
function put(node, ...parts) {
  node.append(...parts.flat().filter((part) => part !== null && part !== undefined));
}

// W_Q with its index below the line.
function symbolOf(text, attributes = { class: "symbol" }) {
  const [base, index] = text.split("_");
  return el("span", attributes, base, index ? el("sub", {}, index) : null);
}

const captionOf = (step) => (formula(step).symbol ? symbolOf(formula(step).symbol) : last(step.name));
const hash = (state) => "#" + new URLSearchParams(state).toString();
const stepLink = (name, more = {}) => hash({ step: name, ...more });
const formula = (step) => data.formulas[step.formula];
const letterOf = (step) => formula(step).symbol || last(step.name);
const last = (name) => name.slice(name.lastIndexOf(".") + 1);

function math(step, attributes = {}) {
  const holder = el("div", { class: "formula", ...attributes });
  holder.innerHTML = formula(step).math; // made with the page from the table of formulas
  return holder;
}

function thumb(step, head, text, caption, pressed, { href = null, hue = null, widest = WIDE } = {}) {
  const view = tile(step, head, text);
  const canvas = paint(el("canvas"), view);
  const square = view.step.axes.endsWith("Q K");
  const cell = Math.max(1, Math.min(8, THUMB / Math.max(view.rows, view.columns)));
  const wide = square ? cell * view.columns : Math.max(14, Math.min(widest, view.columns * 8));
  const high = square ? cell * view.rows : Math.max(14, Math.min(THUMB, view.rows * 8));
  canvas.style.cssText = `width:${wide}px;height:${high}px`;
  const title = `${step.name}${heads(step) > 1 ? `, head ${head}` : ""}`;
  const below = el("span", { class: "below" }, hue ? el("i", { style: `background:${hue}` }) : null, caption);
  return el("a", { class: "thumb", href: href || stepLink(step.name, heads(step) > 1 ? { head } : {}), title, "aria-label": title, "aria-current": pressed }, canvas, below);
}

// Which cell of a picture the pointer is over.
function cellUnder(event, canvas, rows, columns) {
  const box = canvas.getBoundingClientRect();
  return [Math.floor(((event.clientY - box.top) / box.height) * rows), Math.floor(((event.clientX - box.left) / box.width) * columns)];
}

const without = (state, name) => Object.fromEntries(Object.entries(state).filter(([key]) => key !== name));
