// One matrix of a step: numbers in a table where they fit, a heat map where they do not. Any step, any family.

import { el, exact, short, symbol, visible } from "./dom.js";

const WHOLE = 16; // up to so many columns the numbers themselves stand there
const LONG = 64; // and up to so many rows
const CELL = { least: 2, most: 18 }; // pixels of a cell in a heat map

/** Which axis are rows and which columns; heads and texts are chosen, not drawn. */
export function layout(axes) {
  const free = [];
  axes.forEach((letter, axis) => {
    if (!"BHG1".includes(letter)) free.push(axis);
  });
  return { rows: free.length > 1 ? free[free.length - 2] : null, columns: free.length ? free[free.length - 1] : null };
}

/** How many heads a step has. */
export function heads(step) {
  const axis = step.axes.split(" ").findIndex((letter) => letter === "H" || letter === "G");
  return axis < 0 ? 1 : step.shape[axis];
}

/** The part of a step to ask for: one text, one head, some columns and rows. */
export function partOf(step, { text = 0, head = 0, rows = ":", columns = ":" } = {}) {
  const axes = step.axes ? step.axes.split(" ") : [];
  const at = layout(axes);
  return axes
    .map((letter, axis) => {
      if (letter === "B") return Math.min(text, step.shape[axis] - 1);
      if (letter === "H" || letter === "G") return Math.min(head, step.shape[axis] - 1);
      if (letter === "1") return 0;
      return axis === at.rows ? rows : axis === at.columns ? columns : ":";
    })
    .join(",");
}

/** A matrix to draw: its numbers, and what rows and columns are called. */
export function matrix(found, { rowNames, columnNames, share, hidden, firstRow = 0, firstColumn = 0 }) {
  const columns = found.shape.length ? found.shape[found.shape.length - 1] : 1;
  const rows = found.shape.length > 1 ? found.shape[found.shape.length - 2] : 1;
  return {
    kind: found.kind,
    rows,
    columns,
    peak: found.peak,
    share,
    hidden,
    value: (r, c) => found.array[r * columns + c],
    row: (r) => (rowNames && rowNames[firstRow + r] !== undefined ? visible(rowNames[firstRow + r]) : String(firstRow + r)),
    column: (c) =>
      columnNames && columnNames[firstColumn + c] !== undefined ? visible(columnNames[firstColumn + c]) : String(firstColumn + c),
    named: { rows: Boolean(rowNames), columns: Boolean(columnNames) },
  };
}

// ---------------------------------------------------------------- colour

let tones = null;

/** Read the colours of the page again, after it turned light or dark. */
export function forgetTones() {
  tones = null;
}

function readTones() {
  const style = getComputedStyle(document.documentElement);
  const names = ["plus", "minus", "share", "hidden"];
  tones = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).split(",").map(Number)]));
}

function toneOf(view, value) {
  if (!tones) readTones();
  if (value <= view.hidden) return { rgb: tones.hidden, strength: 0.3 };
  if (!view.peak) return null;
  const strength = Math.min(Math.abs(value) / (view.share ? 1 : view.peak), 1);
  return { rgb: view.share ? tones.share : value < 0 ? tones.minus : tones.plus, strength };
}

/** A picture with one pixel a number. */
export function bitmap(view) {
  const canvas = el("canvas", { width: view.columns, height: view.rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(view.columns, view.rows);
  if (!tones) readTones();
  const [{ data }, full] = [image, view.share ? 1 : view.peak];
  let place = 0; // a large step has a million numbers, so nothing is made for each of them
  for (let r = 0; r < view.rows; r++) {
    for (let c = 0; c < view.columns; c++, place += 4) {
      const value = view.value(r, c);
      const unseen = value <= view.hidden;
      if (!unseen && !view.peak) continue;
      const tone = unseen ? tones.hidden : view.share ? tones.share : value < 0 ? tones.minus : tones.plus;
      data[place] = tone[0];
      data[place + 1] = tone[1];
      data[place + 2] = tone[2];
      data[place + 3] = unseen ? 70 : Math.min(Math.abs(value) / full, 1) * 235;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// ---------------------------------------------------------------- drawing

/** Whether a matrix stands there with all its numbers. */
export const small = (view) => view.columns <= WHOLE && view.rows <= LONG;

/** A matrix that the server wrote out, under its symbol. */
export function written(term, hidden) {
  const columns = term.values[0].length;
  const view = {
    kind: term.whole ? "i4" : "f8",
    rows: term.values.length,
    columns,
    peak: term.peak,
    share: false,
    hidden,
    value: (r, c) => term.values[r][c],
    row: (r) => (term.rows ? visible(term.rows[r]) : term.values.length > 1 ? String(r) : ""),
    column: (c) => (term.columns ? visible(term.columns[c]) : String(c)),
  };
  return el("figure", {}, el("figcaption", {}, symbol(term.symbol)), table(view, () => {}, "term"));
}

/** Draw a matrix; `pick(row, column)` is told which number is pointed at or chosen. */
export function draw(view, pick = () => {}) {
  const counted = view.kind === "i4" && view.rows === 1; // numbers of words or places: a colour says nothing of them
  return small(view) || (counted && view.rows <= LONG) ? table(view, pick) : heat(view, pick);
}

function table(view, pick, kind = "numbers") {
  const body = el("tbody");
  for (let r = 0; r < view.rows; r++) {
    const cells = [];
    for (let c = 0; c < view.columns; c++) {
      const value = view.value(r, c);
      const tone = view.kind === "i4" ? null : toneOf(view, value);
      // never so strong that the number on it could not be read
      const style = tone ? `background:rgba(${tone.rgb.join(",")},${(tone.strength * 0.55).toFixed(3)})` : null;
      cells.push(
        el(
          "td",
          {
            style,
            tabindex: r === 0 && c === 0 ? 0 : -1,
            title: exact(value, view.kind),
            "data-row": r,
            "data-column": c,
          },
          value <= view.hidden ? "▒" : short(value, view.kind),
        ),
      );
    }
    body.append(el("tr", { class: r === view.here ? "here" : null }, el(view.row(r) ? "th" : "td", { scope: view.row(r) ? "row" : null }, view.row(r)), cells));
  }
  const names = [];
  for (let c = 0; c < view.columns; c++) names.push(el("th", { scope: "col" }, view.column(c)));
  const node = el("table", { class: kind }, el("thead", {}, el("tr", {}, el("td"), names)), body);
  const chosen = (target) => {
    const cell = target.closest("td[data-row]");
    if (cell) pick(Number(cell.dataset.row), Number(cell.dataset.column));
  };
  body.addEventListener("mouseover", (event) => chosen(event.target));
  body.addEventListener("focusin", (event) => chosen(event.target));
  body.addEventListener("keydown", (event) => walkCells(event, view));
  return el("div", { class: "scroll" }, node);
}

function walkCells(event, view) {
  const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const cell = event.target.closest("td[data-row]");
  if (!move || !cell) return;
  event.preventDefault();
  event.stopPropagation();
  const row = Math.min(Math.max(Number(cell.dataset.row) + move[0], 0), view.rows - 1);
  const column = Math.min(Math.max(Number(cell.dataset.column) + move[1], 0), view.columns - 1);
  const next = event.currentTarget.querySelector(`td[data-row="${row}"][data-column="${column}"]`);
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

// A heat map draws only what is in sight, from a picture with one pixel a number: large ones scroll smoothly.
function heat(view, pick) {
  const picture = bitmap(view);
  const fitting = [Math.floor(1100 / view.columns), Math.ceil(720 / view.rows)].map((size) => Math.max(CELL.least, Math.min(CELL.most, size)));
  const [across, down] = view.share ? [Math.min(...fitting), Math.min(...fitting)] : fitting; // who looks at whom is square
  const canvas = el("canvas", { class: "sight", role: "img", "aria-label": `heat map of ${view.rows} by ${view.columns} numbers` });
  const space = el("div", { class: "space" }, canvas);
  const box = el("div", { class: "heat", tabindex: 0 }, space);
  const size = { width: view.columns * across, height: view.rows * down };
  space.style.width = `${size.width}px`;
  space.style.height = `${size.height}px`;
  box.style.height = `${Math.min(size.height + 18, 620)}px`;
  let at = { row: 0, column: 0 };

  const paint = () => {
    const wide = Math.min(box.clientWidth || 800, size.width);
    const high = Math.min(box.clientHeight || 600, size.height);
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(high * ratio);
      canvas.style.width = `${wide}px`;
      canvas.style.height = `${high}px`;
    }
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const [left, top] = [box.scrollLeft / across, box.scrollTop / down];
    context.drawImage(picture, left, top, wide / across, high / down, 0, 0, canvas.width, canvas.height);
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink");
    context.strokeStyle = ink;
    context.lineWidth = ratio;
    context.strokeRect((at.column - left) * across * ratio, (at.row - top) * down * ratio, across * ratio, down * ratio);
  };
  const point = (row, column) => {
    at = { row: Math.min(Math.max(row, 0), view.rows - 1), column: Math.min(Math.max(column, 0), view.columns - 1) };
    pick(at.row, at.column);
    paint();
  };
  const names = rowNames(view, down, box);
  box.addEventListener(
    "scroll",
    () =>
      requestAnimationFrame(() => {
        paint();
        if (names) names.scrollTop = box.scrollTop;
      }),
    { passive: true },
  );
  canvas.addEventListener("mousemove", (event) => {
    const edge = canvas.getBoundingClientRect();
    point(
      Math.floor((event.clientY - edge.top + box.scrollTop) / down),
      Math.floor((event.clientX - edge.left + box.scrollLeft) / across),
    );
  });
  box.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    point(at.row + move[0], at.column + move[1]);
  });
  new ResizeObserver(paint).observe(box);
  return el("div", { class: "beside" }, names, box);
}

// The names of the rows beside a heat map, where a row is high enough for one.
function rowNames(view, cell, box) {
  if (!view.named.rows || cell < 11) return null;
  const names = [];
  for (let r = 0; r < view.rows; r++) names.push(el("div", { style: `height:${cell}px;line-height:${cell}px` }, view.row(r)));
  return el("div", { class: "names", style: `height:${box.style.height};font-size:${Math.min(13, cell - 1)}px` }, names);
}
