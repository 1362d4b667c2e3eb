"use strict";
// Draws a recorded trace. It looks numbers up, colours and formats them; it computes none.

const data = JSON.parse(document.getElementById("trace").textContent);
const steps = new Map(data.steps.map((step) => [step.name, step]));
const order = data.steps.map((step) => step.name);
const users = new Map();
for (const step of data.steps) for (const name of step.inputs) users.set(name, [...(users.get(name) || []), step.name]);

const WHOLE = 16; // up to so many columns a step is a table of numbers, beyond it a heat map
const LONG = 64; // and up to so many rows
const THUMB = 52; // pixels
const WIDE = 60;
const NARROW = 34;

// ---------------------------------------------------------------- numbers

const ARRAYS = { f8: Float64Array, f4: Float32Array, i4: Int32Array };

function numbers(holder) {
  if (!holder.array) {
    const text = atob(holder.data);
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    holder.array = new ARRAYS[holder.kind](bytes.buffer);
    delete holder.data;
  }
  return holder.array;
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
  const array = numbers(step);
  return {
    step,
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
  if (kind !== "f4") return minus(String(value));
  for (let digits = 6; digits <= 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return minus(String(Number(text)));
  }
  return minus(String(value));
}

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
  for (let r = 0; r < view.rows; r++) {
    for (let c = 0; c < view.columns; c++) {
      const found = tone(view.step, view.value(r, c));
      if (!found) continue;
      const at = (r * view.columns + c) * 4;
      image.data.set([...found.rgb, found.strength * 235], at);
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

function thumb(step, head, text, caption, pressed, more = {}, widest = WIDE) {
  const view = tile(step, head, text);
  const canvas = paint(el("canvas"), view);
  const square = view.step.axes.endsWith("Q K");
  const cell = Math.max(1, Math.min(8, THUMB / Math.max(view.rows, view.columns)));
  const wide = square ? cell * view.columns : Math.max(14, Math.min(widest, view.columns * 8));
  const high = square ? cell * view.rows : Math.max(14, Math.min(THUMB, view.rows * 8));
  canvas.style.cssText = `width:${wide}px;height:${high}px`;
  const target = stepLink(step.name, heads(step) > 1 ? { ...more, head } : more);
  const title = `${step.name}${heads(step) > 1 ? `, head ${head}` : ""}`;
  return el("a", { class: "thumb", href: target, title, "aria-label": title, "aria-pressed": pressed }, canvas, caption);
}

// ---------------------------------------------------------------- the frame

function drawTop(state) {
  const reads = data.tokens.encoder || data.tokens.decoder || [[]];
  const said = el("p", { class: "said" }, reads[0].join(" "));
  if (data.answer) said.append(el("span", { class: "to" }, "→"), data.answer);
  const model = data.model ? `${data.model} · ` : "";
  const here = (view) => (state[view] !== undefined || (view === "all" && !state.step && state.attention === undefined) ? "page" : null);
  const attends = data.steps.some((step) => step.name.endsWith(".weights"));
  document.getElementById("top").replaceChildren(
    said,
    el("span", { class: "about" }, `${model}${data.steps.length} steps`),
    el(
      "div",
      { class: "tools" },
      el("a", { class: "tool", href: "#", "aria-current": here("all") }, "Overview"),
      attends ? el("a", { class: "tool", href: hash({ attention: "" }), "aria-current": here("attention") }, "Attention") : null,
      el("button", { class: "tool", type: "button", onclick: turnLight }, "Light / dark"),
    ),
  );
}

function turnLight() {
  document.documentElement.classList.toggle("dark");
  readTones();
  render();
}

function drawMap() {
  const box = el("input", { type: "search", placeholder: "find a step", "aria-label": "Find a step" });
  const lists = el("div");
  box.addEventListener("input", () => fillMap(lists, box.value.trim().toLowerCase()));
  document.getElementById("map").replaceChildren(box, lists);
  fillMap(lists, "");
}

function fillMap(lists, wanted) {
  const shown = [];
  for (const chapter of data.chapters) {
    const found = chapter.steps.filter((name) => name.toLowerCase().includes(wanted));
    if (!found.length) continue;
    const items = found.map((name) =>
      el(
        "li",
        {},
        el("a", { href: stepLink(name), "data-step": name, title: name }, symbolOf(formula(steps.get(name)).symbol || "·"), el("span", {}, last(name) === "output" ? name.split(".").slice(-2).join(".") : last(name))),
      ),
    );
    const open = wanted !== "" || !chapter.layer;
    shown.push(el("details", { open }, el("summary", {}, chapter.title.replace(": each word ", ": ")), el("ol", {}, items)));
  }
  lists.replaceChildren(...(shown.length ? shown : [el("p", { class: "note" }, "No step has this in its name.")]));
  markMap();
}

function markMap() {
  const now = read().step;
  for (const link of document.querySelectorAll("#map a[data-step]")) {
    const here = link.dataset.step === now;
    if (here) {
      link.setAttribute("aria-current", "true");
      link.closest("details").open = true;
      link.scrollIntoView({ block: "nearest" });
    } else link.removeAttribute("aria-current");
  }
}

// ---------------------------------------------------------------- overview

function sentence(side, title) {
  const tokens = data.tokens[side];
  if (!tokens) return null;
  return el("div", {}, el("h3", {}, title), el("div", { class: "sentence" }, tokens[0].map((token) => el("span", {}, token))));
}

function drawOverview(main) {
  const pair = data.tokens.encoder && data.tokens.decoder;
  put(main, 
    el("h2", {}, "Every number, in the order it is made"),
    el("p", { class: "idea" }, "Each small picture is one step. Choose one to read its numbers, its formula and what it is made of."),
    el("div", { class: "columns" }, sentence("encoder", pair ? "The encoder reads" : "The tokens"), sentence("decoder", pair ? "The decoder has written" : "The tokens")),
  );
  const columns = el("div", { class: pair ? "columns" : "" });
  for (const side of ["encoder", "decoder", "head"]) {
    const chapters = data.chapters.filter((chapter) => chapter.side === side);
    if (!chapters.length) continue;
    const rows = el("div", { class: pair ? "rows stacked" : "rows" });
    for (const chapter of chapters) {
      const thumbs = chapter.steps.map((name) => thumb(steps.get(name), 0, 0, captionOf(steps.get(name)), null, {}, pair ? NARROW : WIDE));
      rows.append(el("div", { class: "title" }, chapter.title.replace(/^\w+, (layer \d+): /, "$1: ")), el("div", { class: "strip" }, thumbs));
    }
    columns.append(el("section", {}, el("h3", {}, side === "head" ? "Head" : side === "encoder" ? "Encoder" : "Decoder"), rows));
  }
  put(main, columns, answer(), legend(), el("p", { class: "note" }, `${data.verified}.`), keys());
}

// The likeliest outcomes of each row, best first: an order of recorded numbers.
function ranking(step, text) {
  const view = tile(step, 0, text);
  const body = el("div", { class: "ranking" });
  for (let r = 0; r < Math.min(view.rows, LONG); r++) {
    const best = Array.from({ length: view.columns }, (_, c) => c).sort((a, b) => view.value(r, b) - view.value(r, a)).slice(0, step.ranks);
    const outcomes = best.map((c) =>
      el("span", { class: "outcome", title: exact(view.value(r, c), step.kind) }, el("i", { style: `width:${(view.value(r, c) * 100).toFixed(2)}%` }), el("b", {}, view.column(c)), el("em", {}, short(view.value(r, c), step.kind))),
    );
    put(body, el("div", { class: "given" }, view.rows > 1 || view.rowNames ? view.row(r) : ""), el("div", { class: "outcomes" }, outcomes));
  }
  return body;
}

function answer() {
  const step = steps.get("head.probabilities");
  if (!step || !step.ranks) return null;
  const words = step.axes.endsWith("V") && data.tokens.decoder;
  return el("section", {}, el("h3", {}, words ? "After each word, the likeliest to come next" : "The likeliest answers"), ranking(step, 0));
}

function legend() {
  const ramp = (from, to) => `background:linear-gradient(90deg, ${from}, ${to})`;
  const rgba = (name, strength) => `rgba(${tones[name].join(",")},${strength})`;
  return el(
    "div",
    { class: "key" },
    "−",
    el("i", { style: `background:linear-gradient(90deg, ${rgba("minus", 0.85)}, transparent, ${rgba("plus", 0.85)})` }),
    "+",
    el("i", { style: ramp("transparent", rgba("share", 0.85)) + ";margin-left:1.5rem" }),
    "0 to 1",
  );
}

function keys() {
  const key = (name) => el("kbd", {}, name);
  return el("p", { class: "keys" }, key("n"), " next step  ", key("p"), " step before  ", key("["), " ", key("]"), " heads  ", key("↑ ↓ ← →"), " numbers  ", key("/"), " find  ", key("o"), " overview");
}

// ---------------------------------------------------------------- attention

function drawAttention(main) {
  put(main, 
    el("h2", {}, "Who looks at whom"),
    el("p", { class: "idea" }, "Each picture is one head: a row for each word that looks, a column for each word it may look at."),
  );
  const kinds = new Map();
  for (const step of data.steps) {
    const found = step.name.match(/^(\w+)\.layers\.(\d+)\.(\w+)\.weights$/);
    if (!found) continue;
    const kind = `${found[1]}, ${found[3].replace("_", "-")}`;
    kinds.set(kind, [...(kinds.get(kind) || []), [Number(found[2]), step]]);
  }
  for (const [kind, layers] of kinds) {
    const rows = el("div", { class: "rows" });
    for (const [layer, step] of layers) {
      const thumbs = [];
      for (let head = 0; head < heads(step); head++) thumbs.push(thumb(step, head, 0, String(head), null));
      rows.append(el("div", { class: "title" }, `layer ${layer}`), el("div", { class: "strip" }, thumbs));
    }
    put(main, el("h3", {}, kind), rows);
  }
  put(main, legend(), keys());
}

// ---------------------------------------------------------------- one step

function drawStep(main, state) {
  const step = steps.get(state.step);
  if (!step) {
    put(main, el("h2", {}, "No such step"), el("p", { class: "note" }, `This trace has no step ${state.step}; choose one on the left.`));
    return;
  }
  const head = Math.min(Number(state.head) || 0, heads(step) - 1);
  const text = Math.min(Number(state.text) || 0, texts(step) - 1);
  const view = tile(step, head, text);
  const says = formula(step).says;
  put(main, el("h2", {}, step.name), el("p", { class: "lead" }, axesInWords(step)));
  put(main, math(step, { title: formula(step).text, "aria-label": formula(step).text }));
  if (says) put(main, el("p", { class: "idea" }, says));
  if (step.edited) put(main, el("p", { class: "note" }, "This value was replaced by an edit; its formula did not make it."));
  put(main, sources(step), usedBy(step));
  if (texts(step) > 1) put(main, choice(step, state, "text", texts(step), text));
  if (heads(step) > 1) put(main, headStrip(step, state, head, text));
  if (step.equation) put(main, el("h3", {}, "On the board"), board(step, view));
  put(main, el("h3", {}, heads(step) > 1 ? `Numbers of head ${head}` : "Numbers"), leftOut(step));
  if (step.ranks) main.insertBefore(el("section", {}, el("h3", {}, "Likeliest"), ranking(step, text)), main.querySelector("h3"));
  const readout = el("div", { class: "readout", "aria-live": "polite" });
  const grid = view.columns <= WHOLE && view.rows <= LONG ? table(view, head, readout, state) : heat(view, head, readout, state);
  put(main, grid, readout, legend(), walkOn(step), keys());
}

function axesInWords(step) {
  return axesOf(step).map((letter, axis) => `${data.axes[letter]} ${step.shape[axis]}`).join(" · ") || "one number";
}

function chip(name) {
  if (steps.has(name)) return el("a", { class: "chip", href: stepLink(name) }, name);
  const parameter = data.parameters[name];
  if (parameter && parameter.data !== undefined) return el("a", { class: "chip", href: hash({ parameter: name }) }, name);
  if (parameter && parameter.array) return el("a", { class: "chip", href: hash({ parameter: name }) }, name);
  return el("span", { class: "chip plain", title: "its numbers are not in this page" }, `${name}${parameter ? ` ${parameter.shape.join(" × ")}` : ""}`);
}

function sources(step) {
  if (!step.inputs.length) return el("div", { class: "links" }, el("span", { class: "what" }, "made of"), "nothing: it is given");
  return el("div", { class: "links" }, el("span", { class: "what" }, "made of"), step.inputs.map(chip));
}

function usedBy(step) {
  const found = users.get(step.name) || [];
  return found.length ? el("div", { class: "links" }, el("span", { class: "what" }, "used by"), found.slice(0, 8).map(chip), found.length > 8 ? `and ${found.length - 8} more` : null) : null;
}

function choice(step, state, what, count, now) {
  const links = [];
  for (let i = 0; i < count; i++) links.push(el("a", { class: "tool", href: stepLink(step.name, { ...rest(state), [what]: i }), "aria-current": i === now ? "page" : null }, String(i)));
  return el("div", { class: "links" }, el("span", { class: "what" }, what), links);
}

const rest = ({ step, ...others }) => others;

function headStrip(step, state, head, text) {
  const thumbs = [];
  for (let i = 0; i < heads(step); i++) thumbs.push(thumb(step, i, text, String(i), i === head ? "true" : "false", rest(state)));
  return el("div", {}, el("h3", {}, "Heads"), el("div", { class: "strip" }, thumbs));
}

function leftOut(step) {
  const said = [];
  axesOf(step).forEach((letter, axis) => {
    const held = places(step, axis).count;
    const kept = step.kept[axis];
    if (held === step.shape[axis]) return;
    const which = typeof kept === "number" ? `the first ${held}` : `${held} chosen`;
    said.push(`${which} of ${step.shape[axis]} along ${data.axes[letter]}`);
  });
  return said.length ? el("p", { class: "note" }, `Left out of this page to keep it small: all but ${said.join(", and all but ")}. The JSON and --step have every number.`) : null;
}

function board(step, view) {
  const parts = step.equation.map((term) => (typeof term === "string" ? el("span", { class: "sign" }, term) : smallMatrix(term, (r, c) => numbers(term)[r * term.shape[1] + c])));
  const result = { symbol: letterOf(step), shape: [view.rows, view.columns], rows: view.rowNames, columns: view.columnNames, kind: step.kind };
  const arrow = step.equation[step.equation.length - 1] === "→";
  return el("div", { class: "board" }, parts, arrow ? null : el("span", { class: "sign" }, "="), smallMatrix(result, view.value));
}

function smallMatrix(matrix, value) {
  const [rows, columns] = matrix.shape;
  const body = el("table");
  const digits = digitsOf(rows, columns, value, matrix.kind);
  for (let r = 0; r < rows; r++) {
    const row = el("tr");
    for (let c = 0; c < columns; c++) row.append(el("td", { title: exact(value(r, c), matrix.kind) }, short(value(r, c), matrix.kind, digits)));
    body.append(row);
  }
  const beside = matrix.rows ? el("div", { class: "names" }, matrix.rows.map((name) => el("div", {}, name))) : null;
  return el("figure", {}, el("figcaption", {}, symbolOf(matrix.symbol, {})), el("div", { class: "named" }, beside, body));
}

// So many digits as all numbers of a matrix need, at most four.
function digitsOf(rows, columns, value, kind) {
  const same = (a, b) => (kind === "f4" ? Math.fround(a) === b : a === b);
  for (let digits = 0; digits < 4; digits++) {
    let enough = true;
    for (let r = 0; r < rows && enough; r++) for (let c = 0; c < columns && enough; c++) enough = value(r, c) <= data.hidden || same(Number(value(r, c).toFixed(digits)), value(r, c));
    if (enough) return digits;
  }
  return 4;
}

function say(readout, view, head, r, c) {
  const step = view.step;
  const value = view.value(r, c);
  const place = [view.rows > 1 || view.rowNames ? view.row(r) : null, view.column(c)].filter((part) => part !== null && part !== "").join(", ");
  const lines = [el("div", {}, el("span", { class: "where" }, `${letterOf(step)}[${place}]${heads(step) > 1 ? `, head ${head}` : ""}  `), el("span", { class: "exact" }, exact(value, step.kind)))];
  const worked = step.worked && step.worked[head] && step.worked[head][r * view.columns + c];
  if (worked) lines.push(el("div", { class: "worked" }, `= ${worked}`));
  if (step.name.endsWith(".weights") && view.columnNames) {
    const words = view.columnNames.map((name, i) => el("span", { style: `background:${background(step, view.value(r, i))};color:${ink(step, view.value(r, i))}`, title: exact(view.value(r, i), step.kind) }, name));
    lines.push(el("div", { class: "looks" }, el("span", { class: "where" }, `${view.row(r)} looks at`), words));
  }
  readout.replaceChildren(...lines);
}

function remember(state, r, c) {
  history.replaceState(null, "", hash({ ...state, at: `${r},${c}` }));
}

function startAt(state, view) {
  const [r, c] = (state.at || "0,0").split(",").map((part) => Number(part) || 0);
  return [Math.min(r, view.rows - 1), Math.min(c, view.columns - 1)];
}

function cursor(node, view, state, show) {
  let [row, column] = startAt(state, view);
  const move = (r, c, keep) => {
    row = Math.max(0, Math.min(view.rows - 1, r));
    column = Math.max(0, Math.min(view.columns - 1, c));
    show(row, column);
    if (keep) remember(state, row, column);
  };
  node.setAttribute("tabindex", "0");
  node.addEventListener("keydown", (event) => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -column], End: [0, view.columns] }[event.key];
    if (!by) return;
    event.preventDefault();
    move(row + by[0], column + by[1], true);
  });
  move(row, column, false);
  return move;
}

function table(view, head, readout, state) {
  const step = view.step;
  const cells = [];
  const body = el("tbody");
  const tops = [];
  const sides = [];
  for (let r = 0; r < view.rows; r++) {
    const side = el("th", { scope: "row" }, view.rows > 1 || view.rowNames ? view.row(r) : "");
    const line = el("tr", {}, side);
    sides.push(side);
    cells.push([]);
    for (let c = 0; c < view.columns; c++) {
      const value = view.value(r, c);
      const cell = el("td", { style: `background:${background(step, value)};color:${ink(step, value)}`, title: exact(value, step.kind) }, short(value, step.kind));
      cell.addEventListener("mouseenter", () => move(r, c, false));
      cell.addEventListener("click", () => move(r, c, true));
      cells[r].push(cell);
      line.append(cell);
    }
    body.append(line);
  }
  const top = el("tr", {}, el("th"));
  for (let c = 0; c < view.columns; c++) {
    tops.push(el("th", { scope: "col" }, view.column(c)));
    top.append(tops[c]);
  }
  const focus = () => node.focus({ preventScroll: true });
  const node = el("table", { class: "numbers", onclick: focus, "aria-label": `${step.name}: rows and columns of numbers` }, el("thead", {}, top), body);
  let marked = [];
  const move = cursor(node, view, state, (r, c) => {
    marked.forEach((one) => one.classList.remove("at"));
    marked = [cells[r][c], sides[r], tops[c]];
    marked.forEach((one) => one.classList.add("at"));
    say(readout, view, head, r, c);
  });
  return el("div", { class: "scroll" }, node);
}

function heat(view, head, readout, state) {
  const step = view.step;
  const high = view.rows <= 24 ? 22 : view.rows <= 80 ? 12 : 5;
  const wide = Math.max(view.columns <= 40 ? 18 : 4, Math.min(18, 900 / view.columns));
  const canvas = paint(el("canvas", { role: "img", "aria-label": `${step.name} as a heat map` }), view);
  canvas.style.cssText = `width:${wide * view.columns}px;height:${high * view.rows}px`;
  const sides = [];
  for (let r = 0; r < view.rows; r++) sides.push(el("div", { style: `height:${high}px` }, high >= 12 ? view.row(r) : ""));
  const mark = el("div", { style: `position:absolute;width:${wide}px;height:${high}px;outline:2px solid var(--ink);pointer-events:none` });
  const holder = el("div", { style: "position:relative;width:max-content", "aria-label": "use the arrow keys to read the numbers" }, canvas, mark);
  const move = cursor(holder, view, state, (r, c) => {
    mark.style.left = `${c * wide + 1}px`;
    mark.style.top = `${r * high + 1}px`;
    sides.forEach((side, i) => side.classList.toggle("at", i === r));
    say(readout, view, head, r, c);
  });
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    return [Math.floor(((event.clientY - box.top) / box.height) * view.rows), Math.floor(((event.clientX - box.left) / box.width) * view.columns)];
  };
  canvas.addEventListener("mousemove", (event) => move(...under(event), false));
  canvas.addEventListener("click", (event) => {
    move(...under(event), true);
    holder.focus({ preventScroll: true });
  });
  return el("div", { class: "scroll" }, el("div", { class: "heat" }, el("div", { class: "side", style: "padding-top:1px" }, sides), holder));
}

function walkOn(step) {
  const at = order.indexOf(step.name);
  const link = (name, says) => (name ? el("a", { href: stepLink(name), class: "tool" }, `${says} ${name}`) : null);
  return el("div", { class: "links", style: "margin-top:1.6rem" }, link(order[at - 1], "←"), link(order[at + 1], "→"));
}

function drawParameter(main, state) {
  const parameter = data.parameters[state.parameter];
  put(main, el("h2", {}, state.parameter));
  if (!parameter || (parameter.data === undefined && !parameter.array)) {
    put(main, el("p", { class: "note" }, "Its numbers are not in this page."));
    return;
  }
  const shape = parameter.shape.length > 1 ? parameter.shape : [1, ...parameter.shape];
  const matrix = { symbol: "", shape, rows: null, columns: null, kind: parameter.kind };
  const found = users.get(state.parameter) || [];
  put(main, 
    el("p", { class: "lead" }, `a parameter, learned in training · ${parameter.shape.join(" × ")}, as it is stored (a linear map's weight: out × in)`),
    el("div", { class: "links" }, el("span", { class: "what" }, "used by"), found.map(chip)),
    el("div", { class: "board" }, smallMatrix(matrix, (r, c) => numbers(parameter)[r * shape[1] + c])),
  );
}

// ---------------------------------------------------------------- state

function read() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function render() {
  const state = read();
  const main = document.getElementById("main");
  const top = main.scrollTop;
  main.replaceChildren();
  drawTop(state);
  if (state.step) drawStep(main, state);
  else if (state.parameter) drawParameter(main, state);
  else if (state.attention !== undefined) drawAttention(main);
  else drawOverview(main);
  markMap();
  main.scrollTop = state.step && state.step === render.step ? top : 0;
  render.step = state.step;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const state = read();
  const at = order.indexOf(state.step);
  const head = Number(state.head) || 0;
  const step = steps.get(state.step);
  const moves = {
    n: () => order[at + 1] && stepLink(order[at + 1]),
    p: () => order[at - 1] && stepLink(order[at - 1]),
    o: () => "#",
    "]": () => step && heads(step) > head + 1 && hash({ ...state, head: head + 1 }),
    "[": () => step && head > 0 && hash({ ...state, head: head - 1 }),
  };
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector("#map input").focus();
    return;
  }
  const target = moves[event.key] && moves[event.key]();
  if (target) location.hash = target;
}

if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
readTones();
drawMap();
render();
addEventListener("hashchange", render);
document.addEventListener("keydown", onKey);
