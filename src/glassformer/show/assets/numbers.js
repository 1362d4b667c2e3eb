"use strict";
// Unpacks a recorded trace, looks its numbers up and writes them down; it computes none.

const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";
const ARRAYS = { f8: Float64Array, f4: Float32Array, i4: Int32Array };

let data; // what the page knows, apart from the arrays
let block; // the arrays, byte by byte
let steps; // by name
let order; // the names
const users = new Map(); // which steps are made of a step or parameter

async function unpack() {
  const holder = document.getElementById("trace");
  const bytes = decoded(holder.textContent).subarray(0, Number(holder.dataset.bytes));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const all = new Uint8Array(await new Response(stream).arrayBuffer());
  const end = 4 + new DataView(all.buffer).getUint32(0, true);
  data = JSON.parse(new TextDecoder().decode(all.subarray(4, end)));
  block = all.subarray(end);
  steps = new Map(data.steps.map((step) => [step.name, step]));
  order = data.steps.map((step) => step.name);
  for (const step of data.steps) for (const name of step.inputs) users.set(name, [...(users.get(name) || []), step.name]);
}

// Five letters of 85 are four bytes.
function decoded(text) {
  const digit = new Uint8Array(128);
  [...LETTERS].forEach((letter, value) => (digit[letter.charCodeAt(0)] = value));
  const bytes = new Uint8Array((text.length / 5) * 4);
  const view = new DataView(bytes.buffer);
  for (let from = 0, to = 0; from < text.length; from += 5, to += 4) {
    let word = 0;
    for (let i = from; i < from + 5; i++) word = word * 85 + digit[text.charCodeAt(i)];
    view.setUint32(to, word);
  }
  return bytes;
}

// An array of the block: its bytes stand in planes, a rounded number is a multiple of its unit.
function numbers(holder) {
  if (!holder.array) holder.array = holder.kind === "u" ? multiples(holder) : whole(holder);
  return holder.array;
}

function whole({ kind, count, at }) {
  const width = ARRAYS[kind].BYTES_PER_ELEMENT;
  const bytes = new Uint8Array(width * count);
  for (let plane = 0; plane < width; plane++) for (let i = 0; i < count; i++) bytes[i * width + plane] = block[at + plane * count + i];
  return new ARRAYS[kind](bytes.buffer);
}

function multiples({ count, at, width, middle, unit: [digit, places] }) {
  const array = new Float64Array(count);
  for (let plane = width - 1; plane >= 0; plane--) for (let i = 0; i < count; i++) array[i] = array[i] * 256 + block[at + plane * count + i];
  for (let i = 0; i < count; i++) array[i] = places >= 0 ? ((array[i] - middle) * digit) / 10 ** places : (array[i] - middle) * digit * 10 ** -places;
  return array;
}

function places(step, axis) {
  const kept = step.kept[axis];
  if (kept === null) return { count: step.shape[axis], at: (i) => i };
  if (typeof kept === "number") return { count: kept, at: (i) => i };
  return { count: kept.length, at: (i) => kept[i] };
}

// The letters of a step's axes; one number alone has none.
function axesOf(step) {
  return step.axes ? step.axes.split(" ") : [];
}

function names(step, axis, text) {
  const label = step.labels[axis];
  return typeof label === "string" ? data.tokens[label][text] || null : label;
}

// One text and one head of a step, as rows and columns.
function tile(step, head, text) {
  const letters = axesOf(step);
  const held = letters.map((_, axis) => places(step, axis).count);
  const strides = held.map((_, axis) => held.slice(axis + 1).reduce((a, b) => a * b, 1));
  const free = [];
  let start = 0;
  letters.forEach((letter, axis) => {
    if (letter === "B") start += Math.min(text, held[axis] - 1) * strides[axis];
    else if (letter === "H" || letter === "G") start += Math.min(head, held[axis] - 1) * strides[axis];
    else if (letter !== "1") free.push(axis);
  });
  const columns = free.length ? free[free.length - 1] : null;
  const rows = free.length > 1 ? free[free.length - 2] : null;
  const array = numbers(step.numbers);
  const kind = step.numbers.kind;
  return {
    step,
    kind,
    digits: kind === "u" ? Math.max(0, Math.min(4, step.numbers.unit[1])) : 4,
    rows: rows === null ? 1 : held[rows],
    columns: columns === null ? 1 : held[columns],
    row: (r) => called(step, rows, r, text),
    column: (c) => called(step, columns, c, text),
    rowNames: rows === null ? null : names(step, rows, text),
    columnNames: columns === null ? null : names(step, columns, text),
    value: (r, c) => array[start + (rows === null ? 0 : r * strides[rows]) + (columns === null ? 0 : c * strides[columns])],
  };
}

function called(step, axis, i, text) {
  if (axis === null) return "";
  const label = names(step, axis, text);
  return label && label[i] !== undefined ? label[i] : String(places(step, axis).at(i));
}

function heads(step) {
  const axis = axesOf(step).findIndex((letter) => letter === "H" || letter === "G");
  return axis < 0 ? 1 : places(step, axis).count;
}

function texts(step) {
  return step.axes.startsWith("B") ? places(step, 0).count : 1;
}

const minus = (text) => text.replace(/-/g, "−");

function short(value, kind, digits = 4) {
  if (kind === "i4" || value === 0) return minus(String(value));
  if (value <= data.hidden) return "▒";
  const size = Math.abs(value);
  return minus(size >= 1e6 || size < 5e-5 ? value.toExponential(2) : value.toFixed(digits));
}

// The shortest decimal that is this very number.
function exact(value, kind) {
  if (kind === "u" && value === 0) return "0";
  if (kind !== "f4") return minus(String(value));
  for (let digits = 6; digits <= 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return minus(String(Number(text)));
  }
  return minus(String(value));
}

