// Changing the model: heads switched off, numbers replaced, values taken from another text. Each change is a part of the
// address, so "back" takes it away again.

import { Refused } from "./api.js";
import { el } from "./dom.js";
import { address, go, state } from "./store.js";
import { heads } from "./tensor.js";

/** The edits that the address says. */
export function edits(now = state()) {
  try {
    const list = now.edits ? JSON.parse(now.edits) : [];
    if (Array.isArray(list) && list.every((each) => each && typeof each.kind === "string")) return list;
  } catch {
    // said below: what cannot be read is no list either
  }
  throw new Refused("the changes that this address names cannot be read; take what follows `edits=` out of it");
}

const withEdits = (list) => ({ edits: list.length ? JSON.stringify(list) : null });
const add = (edit) => go(withEdits([...edits(), edit]));

/** An edit in words. */
export function worded(edit) {
  const where = ["head", "position", "key_position", "neuron", "word", "row", "column"]
    .filter((key) => edit[key] !== undefined && edit[key] !== null)
    .map((key) => `${key.replace("_", " ")} ${edit[key]}`)
    .join(", ");
  if (edit.kind === "word") return `the row of “${edit.text}” for “${edit.word}” in ${edit.name}`;
  const what = {
    zero: "nothing in place of",
    mean: "its mean in place of",
    replace: `${edit.to} in place of`,
    patch: `as in “${edit.text}”:`,
    steer: `${edit.strength ?? 1} × towards “${edit.text}”${edit.away ? ` away from “${edit.away}”` : ""}:`,
    weight: `${edit.to} in place of`,
  }[edit.kind];
  return `${what} ${edit.name}${where ? ` (${where})` : ""}`;
}

/** The edits in force, each with a way to take it back. */
export function listed() {
  const list = edits();
  if (!list.length) return null;
  return el(
    "div",
    { class: "edits" },
    el("span", { class: "what" }, "changed"),
    list.map((edit, place) =>
      el(
        "span",
        { class: "chip" },
        worded(edit),
        el("a", { href: address(withEdits(list.filter((_, other) => other !== place))), title: "take this back", "aria-label": `take back: ${worded(edit)}` }, " ×"),
      ),
    ),
    el("a", { class: "tool", href: address({ edits: null }) }, "take all back"),
  );
}

/** What can be changed about a step, as a part of the page. */
export function changing(step, { head }, at) {
  const many = heads(step) > 1;
  const whole = many ? { name: step.name, head } : { name: step.name };
  const what = many ? `head ${head}` : "this step";
  const letters = step.axes.split(" ");
  const keyed = letters[letters.length - 1] === "K";
  const number = el("input", { type: "number", step: "any", value: "0", "aria-label": "the number to put there" });
  const other = el("input", { type: "text", placeholder: "another text", "aria-label": "another text" });
  const strength = el("input", { type: "number", step: "any", value: "1", "aria-label": "strength" });
  const spot = () => {
    const { row, column } = at();
    if (letters.length < 3 && !keyed) return { ...whole, neuron: column };
    return { ...whole, position: row, [keyed ? "key_position" : "neuron"]: column };
  };
  const button = (title, edit) => el("button", { class: "tool", type: "button", onclick: () => add(edit()) }, title);
  return el(
    "details",
    { class: "touch" },
    el("summary", {}, "Change it"),
    el("p", {}, button(`switch ${what} off`, () => ({ kind: "zero", ...whole })), " ", button(`${what}: its mean over the positions`, () => ({ kind: "mean", ...whole }))),
    el("p", {}, button("replace the number pointed at last", () => ({ kind: "replace", ...spot(), to: Number(number.value) })), " by ", number),
    el(
      "p",
      {},
      button(`take ${what} from`, () => ({ kind: "patch", ...whole, text: other.value })),
      " ",
      button(`push ${what} towards`, () => ({ kind: "steer", ...whole, text: other.value, strength: Number(strength.value) })),
      " ",
      other,
      " × ",
      strength,
    ),
    el("p", { class: "note" }, "Everything after it is computed anew. The answers before and after stand side by side above; “back” takes a change away."),
  );
}

/** A weight's own change. */
export function changingWeight(name, shape, at) {
  const number = el("input", { type: "number", step: "any", value: "0", "aria-label": "the number to put there" });
  const spot = () => {
    const { row, column } = at();
    return shape.length > 1 ? { row, column } : { row: column };
  };
  return el(
    "details",
    { class: "touch" },
    el("summary", {}, "Change it"),
    el(
      "p",
      {},
      el("button", { class: "tool", type: "button", onclick: () => add({ kind: "weight", name, ...spot(), to: Number(number.value) }) }, "replace the number pointed at last"),
      " by ",
      number,
    ),
  );
}

/** The row of a word: one of its numbers, or all of them from another word. */
export function changingWord(name, chosen, at) {
  const number = el("input", { type: "number", step: "any", value: "0", "aria-label": "the number to put there" });
  const word = el("input", { type: "text", value: chosen || "", placeholder: "a word", "aria-label": "the word whose row is changed" });
  const other = el("input", { type: "text", placeholder: "another word", "aria-label": "the word whose row is taken" });
  const spot = () => {
    const { word: pointed, column } = at();
    return { word: pointed, column };
  };
  return el(
    "details",
    { class: "touch" },
    el("summary", {}, "Change it"),
    el("p", {}, el("button", { class: "tool", type: "button", onclick: () => add({ kind: "weight", name, ...spot(), to: Number(number.value) }) }, "replace the number pointed at last"), " by ", number),
    el("p", {}, "read ", word, " as if it were ", other, " ", el("button", { class: "tool", type: "button", onclick: () => add({ kind: "word", name, word: word.value, text: other.value }) }, "take its row")),
  );
}
