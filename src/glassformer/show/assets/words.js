"use strict";
// What comes of each token: the likeliest outcomes, and its row from layer to layer.

// The likeliest outcomes of a row, best first: an order of recorded numbers.
function outcomes(step, view, r) {
  const best = Array.from({ length: view.columns }, (_, c) => c).sort((a, b) => view.value(r, b) - view.value(r, a));
  return best.slice(0, step.ranks).map((c) => {
    const value = view.value(r, c);
    const bar = el("i", { style: `width:${(value * 100).toFixed(2)}%` });
    return el("span", { class: "outcome", title: exact(value, view.kind) }, bar, el("b", {}, view.column(c)), el("em", {}, short(value, view.kind)));
  });
}

function ranking(step, text) {
  const view = tile(step, 0, text);
  const body = el("div", { class: "ranking" });
  for (let r = 0; r < Math.min(view.rows, LONG); r++) {
    put(body, el("div", { class: "given" }, view.rows > 1 || view.rowNames ? view.row(r) : ""), el("div", { class: "outcomes" }, outcomes(step, view, r)));
  }
  return body;
}

function answer() {
  const step = steps.get("head.probabilities");
  if (!step || !step.ranks) return null;
  const words = step.axes.endsWith("V") && data.tokens.decoder;
  return el("section", {}, el("h3", {}, words ? "After each word, the likeliest to come next" : "The likeliest answers"), ranking(step, 0));
}


// How the answer was written: the tokens with what else could have been, and a beam search as its tree.
function drawWriting(main) {
  const holder = el("div", { class: "glassformer" });
  holder.innerHTML = data.writing; // made with the page, every text in it escaped
  put(
    main,
    el("h2", {}, "How it was written"),
    el("p", { class: "idea" }, "Token by token, each coloured as strongly as the model held it likely; the likeliest in its place are under the pointer."),
    holder,
    keys(),
  );
}

// ---------------------------------------------------------------- one token, layer by layer

const STREAM = /^\w+\.(embedding\.output|layers\.\d+\.after_\w+(\.output)?|output)$/;

const tokenLink = (side, place) => hash({ token: place, side });

function drawToken(main, state) {
  const side = data.tokens[state.side] ? state.side : Object.keys(data.tokens)[0];
  const words = (data.tokens[side] || [[]])[0];
  const place = Math.max(0, Math.min(Number(state.token) || 0, words.length - 1));
  const readout = el("div", { class: "readout", "aria-live": "polite" }, "Point at a number, or choose a row and use the arrow keys.");
  const rows = el("div", { class: "becomes" });
  for (const step of data.steps) {
    if (!step.name.startsWith(`${side}.`) || !holds(step, place)) continue;
    if (STREAM.test(step.name)) put(rows, title(step), strip(step, place, readout));
    else if (attends(step)) put(rows, title(step), looksOf(step, place, readout));
  }
  const links = words.map((word, i) => el("a", { href: tokenLink(side, i), "aria-current": i === place ? "page" : null }, word));
  put(
    main,
    el("h2", {}, `What “${words[place]}” becomes`),
    el("p", { class: "idea" }, "Its row, layer by layer, from the embedding on; between them, where it looks: a row for each head, a column for each word."),
    el("div", { class: "sentence" }, links),
    rows,
    readout,
    likeliestOf(side, place),
    legend(),
    keys(),
  );
}

// Whether the page has this token's row of a step.
function holds(step, place) {
  const axis = axesOf(step).findIndex((letter) => letter === "T" || letter === "Q");
  return axis >= 0 && place < places(step, axis).count;
}

function title(step) {
  return el("a", { class: "title", href: stepLink(step.name) }, step.name.replace(/^\w+\.(layers\.)?/, ""));
}

function strip(step, place, readout) {
  const view = tile(step, 0, 0);
  const row = { step, kind: view.kind, rows: 1, columns: view.columns, value: (_, c) => view.value(place, c) };
  const canvas = paint(el("canvas", { role: "img", "aria-label": `${step.name}, the row of ${view.row(place)}` }), row);
  canvas.style.cssText = `width:min(100%, ${Math.max(view.columns, Math.min(40 * view.columns, 220))}px);height:16px`;
  const say = (c) => readout.replaceChildren(el("span", { class: "where" }, `${step.name}[${view.row(place)}, ${view.column(c)}]  `), el("span", { class: "exact" }, exact(row.value(0, c), row.kind)));
  return pointed(canvas, 1, view.columns, (_, c) => say(c));
}

function looksOf(step, place, readout) {
  const first = tile(step, 0, 0);
  const views = Array.from({ length: heads(step) }, (_, head) => tile(step, head, 0));
  const grid = { step, kind: first.kind, rows: views.length, columns: first.columns, value: (h, c) => views[h].value(place, c) };
  const canvas = paint(el("canvas", { role: "img", "aria-label": `${step.name}: where ${first.row(place)} looks, head by head` }), grid);
  const cell = Math.max(3, Math.min(12, 240 / first.columns));
  canvas.style.cssText = `width:${cell * first.columns}px;height:${Math.max(12, Math.min(cell, 9) * views.length)}px`;
  const say = (h, c) => readout.replaceChildren(el("span", { class: "where" }, `${step.name}, head ${h}: ${first.row(place)} looks at ${first.column(c)}  `), el("span", { class: "exact" }, exact(grid.value(h, c), grid.kind)));
  return pointed(canvas, views.length, first.columns, say, () => (location.hash = hash({ attention: step.name, at: place })));
}

// A picture whose cells can be pointed at, and walked with the arrow keys.
function pointed(canvas, rows, columns, say, choose) {
  let [row, column] = [0, 0];
  const go = (r, c) => say((row = Math.max(0, Math.min(rows - 1, r))), (column = Math.max(0, Math.min(columns - 1, c))));
  canvas.setAttribute("tabindex", "0");
  canvas.addEventListener("focus", () => go(row, column));
  canvas.addEventListener("mousemove", (event) => go(...cellUnder(event, canvas, rows, columns)));
  canvas.addEventListener("click", (event) => (choose ? choose() : go(...cellUnder(event, canvas, rows, columns))));
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    go(row + by[0], column + by[1]);
  });
  return canvas;
}

function likeliestOf(side, place) {
  const step = steps.get("head.probabilities");
  const reads = data.tokens.decoder ? "decoder" : "encoder";
  if (!step || !step.ranks || side !== reads || !holds(step, place)) return null;
  const says = step.axes.endsWith("V") && reads === "decoder" ? "Likeliest to come next" : "What is said of it";
  return el("section", {}, el("h3", {}, says), el("div", { class: "outcomes" }, outcomes(step, tile(step, 0, 0), place)));
}
