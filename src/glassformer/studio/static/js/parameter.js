// One parameter whole: its numbers, who uses it, and its words where its rows are words.

import { ask, numbers, Refused } from "./api.js";
import { breaking, el, exact } from "./dom.js";
import { address, go, place, state } from "./store.js";
import { draw, matrix } from "./tensor.js";
import { changingWeight, changingWord } from "./touch.js";
import { COLUMNS, links, pager, ROWS } from "./window.js";

const TABLES = ["tokens.weight", "source_tokens.weight", "head.output.weight"]; // a row for each word, unless of labels

/** Everything about one parameter, as an element. */
export async function parameter(run, name) {
  const shape = run.parameters[name];
  if (!shape) return el("p", { class: "note" }, `This run has no step called ${name}. Choose one from the list.`);
  const now = state();
  const first = { row: place("row"), column: place("column") };
  const at = { rows: shape.length > 1 ? 0 : null, columns: shape.length - 1 };
  const parts = shape.map((size, axis) => {
    const [most, from] = axis === at.rows ? [ROWS, first.row] : [COLUMNS, first.column];
    return size > most ? `${from}:${from + most}` : ":";
  });
  const whole = shape.length < 2 || shape[0] <= ROWS;
  const start = whole ? 0 : first.row;
  const called = encodeURIComponent(name);
  const [found, words] = await Promise.all([
    numbers(run.run, name, parts.join(",")),
    TABLES.includes(name) ? ask(`api/runs/${run.run}/words/${called}?start=${start}`) : [],
  ]);
  const rowNames = words.length ? [...Array(start), ...words] : null;
  const view = { ...matrix(found, { rowNames, share: false, hidden: run.hidden, firstRow: start, firstColumn: first.column }), here: now.word === undefined ? -1 : first.row - start };
  const readout = el("p", { class: "readout", "aria-live": "polite" }, "Point at a number.");
  let pointed = { row: start, column: first.column };
  const users = run.steps.filter((step) => step.inputs.includes(name)).map((step) => step.name);
  return el(
    "article",
    { class: "look" },
    el("h2", {}, breaking(name)),
    el("p", { class: "lead" }, `weights, ${shape.join(" × ")}`),
    links(run, "used by", users),
    words.length ? wordField(run, called, now.word) : null,
    pager(shape, at, first),
    draw(view, (row, column) => {
      pointed = { row: start + row, column: first.column + column };
      readout.textContent = `${view.row(row)}, ${view.column(column)}: ${exact(view.value(row, column), view.kind)}`;
    }),
    readout,
    words.length ? changingWord(name, now.word, () => ({ ...pointed, word: view.row(pointed.row - start) })) : changingWeight(name, shape, () => pointed),
  );
}

// Find the row of a word: it is then the first that is shown.
function wordField(run, called, word) {
  const field = el("input", { type: "text", value: word || "", "aria-label": "A word", placeholder: "a word" });
  const note = el("span", { class: "note", role: "status" });
  const find = async (event) => {
    event.preventDefault();
    try {
      const found = await ask(`api/runs/${run.run}/word/${called}?word=${encodeURIComponent(field.value)}`);
      go({ row: found.row, column: null, word: found.word });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      note.textContent = error.message;
    }
  };
  return el("form", { class: "find", onsubmit: find }, el("label", {}, "row of the word ", field), " ", el("button", { class: "tool", type: "submit" }, "show"), " ", note);
}
