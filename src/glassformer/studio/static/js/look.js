// One step whole: its formula, what it was made of, its numbers, and how one of them came about.

import { ask, numbers } from "./api.js";
import { breaking, el, exact, last, percent, symbol, visible } from "./dom.js";
import { address, place } from "./store.js";
import { parameter } from "./parameter.js";
import { draw, heads, layout, matrix, partOf, small, written } from "./tensor.js";
import { changing } from "./touch.js";
import { COLUMNS, links, pager, ROWS } from "./window.js";

/** The names along an axis of a step. */
export function namesOf(run, step, axis, text = 0) {
  if (axis === null) return null;
  const names = step.labels[axis];
  return typeof names === "string" ? run.tokens[names][text] : names;
}

function chooseHead(step, chosen) {
  const count = heads(step);
  if (count < 2) return null;
  const links = [];
  for (let head = 0; head < count; head++) {
    links.push(el("a", { class: "head", href: address({ head }), "aria-current": head === chosen ? "true" : null }, String(head)));
  }
  return el("nav", { class: "heads", "aria-label": "Heads" }, el("span", { class: "what" }, "head"), links);
}

async function likeliest(run, step, text) {
  const letters = step.axes.split(" ");
  if (!step.share || !"VL".includes(letters[letters.length - 1])) return null;
  const rows = await ask(`api/runs/${run.run}/likeliest/${encodeURIComponent(step.name)}?text=${text}&top=5`);
  const names = namesOf(run, step, layout(letters).rows, text);
  const lines = rows.map((row, number) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, names ? visible(names[number]) : "→"),
      row.map((each) => el("td", {}, el("b", {}, visible(each.name)), ` ${percent(each.probability)}`)),
    ),
  );
  return el("div", { class: "scroll", tabindex: 0 }, el("table", { class: "likeliest" }, el("caption", {}, "The likeliest of each row"), el("tbody", {}, lines)));
}

// What the step was made of, as it stands on a board before the step itself; nothing where a matrix is too large for that.
async function equation(run, step, size, { text, head }) {
  if (!step.inputs.length || !small(size)) return [];
  const terms = await ask(`api/runs/${run.run}/equation/${encodeURIComponent(step.name)}?text=${text}&head=${head}`);
  const drawn = terms.map((term) => (term.sign === undefined ? written(term, run.hidden) : el("span", { class: "sign" }, term.sign)));
  if (!drawn.length) return [];
  return [...drawn, terms[terms.length - 1].sign === "→" ? null : el("span", { class: "sign" }, "=")];
}

// The axes and their sizes; one text and one head go without saying.
function sized(run, step, letters) {
  const told = letters.map((letter, axis) => ("BHG1".includes(letter) && step.shape[axis] === 1 ? "" : `${run.axes[letter]} ${step.shape[axis]}`));
  return told.filter(Boolean).join(" × ") || "one number";
}

/** Everything about one step, as an element. */
export async function look(run, name) {
  const [head, text] = [place("head"), place("of")];
  const step = run.byName.get(name);
  if (!step) return parameter(run, name);
  const letters = step.axes ? step.axes.split(" ") : [];
  const at = layout(letters);
  const first = { row: place("row"), column: place("column") };
  const span = (axis, most, from) => (axis !== null && step.shape[axis] > most ? `${from}:${from + most}` : ":");
  const part = partOf(step, {
    text,
    head,
    rows: span(at.rows, ROWS, first.row),
    columns: span(at.columns, COLUMNS, first.column),
  });
  const along = (axis, most) => (axis === null ? 1 : Math.min(step.shape[axis], most));
  const size = { rows: along(at.rows, ROWS), columns: along(at.columns, COLUMNS) };
  const [found, terms, likely] = await Promise.all([numbers(run.run, name, part), equation(run, step, size, { text, head }), likeliest(run, step, text)]);
  const view = matrix(found, {
    rowNames: namesOf(run, step, at.rows, text),
    columnNames: namesOf(run, step, at.columns, text),
    share: step.share,
    hidden: run.hidden,
    firstRow: first.row,
    firstColumn: first.column,
  });
  const readout = el("p", { class: "readout", "aria-live": "polite" }, "Point at a number, or move over them with the arrow keys.");
  let pointed = { row: 0, column: 0 };
  const told = telling(run, step, view, { text, head, first }, readout);
  const tell = (row, column) => {
    pointed = { row: first.row + row, column: first.column + column };
    told(row, column);
  };
  if (step.inputs.length && small(view)) tell(0, 0);
  return el(
    "article",
    { class: "look", "data-step": name },
    el("h2", {}, breaking(name)),
    el("p", { class: "lead" }, sized(run, step, letters)),
    step.says ? el("p", { class: "idea" }, step.says) : null,
    el("div", { class: "formula", role: "math", html: step.math, "aria-label": step.formula }),
    links(run, "made of", step.inputs),
    links(run, "used by", run.users.get(name) || []),
    chooseHead(step, head),
    pager(step.shape, at, first),
    likely,
    run.before ? el("h3", {}, "after the change") : null,
    terms.length ? el("div", { class: "board" }, terms, el("figure", {}, el("figcaption", {}, symbol(step.symbol || "")), draw(view, tell))) : draw(view, tell),
    run.before ? await before(run, step, part, view) : null,
    readout,
    step.inputs.length ? changing(step, { head }, () => pointed) : null,
  );
}

// The same numbers of the run before anything was changed.
async function before(run, step, part, view) {
  const own = run.before.byName.get(step.name);
  if (!own || String(own.shape) !== String(step.shape)) return el("p", { class: "note" }, "Before the change this step had another shape, since the answer had another length.");
  const found = await numbers(run.before.run, step.name, part);
  const columns = view.columns;
  return [
    el("h3", {}, "before"),
    draw({ ...view, peak: found.peak, kind: found.kind, value: (r, c) => found.array[r * columns + c] }),
  ];
}

function telling(run, step, view, { text, head, first }, readout) {
  let asked = 0;
  let waiting = null;
  return (row, column) => {
    const value = view.value(row, column);
    readout.replaceChildren(
      el("span", { class: "where" }, `${view.row(row)}, ${view.column(column)}: `),
      el("span", { class: "exact" }, value <= run.hidden ? "never seen" : exact(value, view.kind)),
    );
    const number = ++asked;
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const query = `row=${first.row + row}&column=${first.column + column}&text=${text}&head=${head}`;
      const { worked } = await ask(`api/runs/${run.run}/worked/${encodeURIComponent(step.name)}?${query}`).catch(() => ({}));
      if (worked && number === asked) readout.append(el("span", { class: "worked" }, ` = ${worked}`));
    }, 60);
  };
}

/** The short name of a step, with its symbol. */
export function titled(step) {
  const name = last(step.name) === "output" ? step.name.split(".").slice(-2).join(".") : last(step.name);
  return [symbol(step.symbol || "·"), el("span", {}, name)];
}
