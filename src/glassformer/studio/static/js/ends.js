// Both ends of a walk: how the text became numbers, and how the last numbers became the answer.

import { ask } from "./api.js";
import { marked, named } from "./answer.js";
import { el, exact, percent, short, visible } from "./dom.js";
import { address } from "./store.js";

const chip = (text, title) => el("span", { class: "piece", title }, visible(text));
const chips = (pieces) => el("span", { class: "pieces" }, pieces.map((piece) => chip(piece)));
const rest = (shown, count, what) => (shown < count ? el("p", { class: "note" }, `The first ${shown} of ${count.toLocaleString("en")} ${what}.`) : null);
const cell = (value) => el("td", { class: "figure", title: exact(value, "f8") }, short(value));
const share = (value) => el("td", { class: "figure", title: exact(value, "f8") }, percent(value));

function table(name, heads, rows, caption) {
  const head = el("tr", {}, heads.map((each) => el("th", { scope: "col" }, each)));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, el("table", { class: `ends ${name}` }, el("thead", {}, head), el("tbody", {}, rows)));
}

// ---------------------------------------------------------------- from text to numbers

/** One text on its way to numbers; `part` is its words, its pieces, or their numbers. */
export async function cutting(run, place, part) {
  const found = await ask(`api/runs/${run.run}/beginning/${place}`);
  return el("article", { class: `cut to-${part}` }, { words, pieces, numbered }[part === "numbers" ? "numbered" : part](run, found));
}

function words(run, found) {
  return [
    el("h2", {}, "The text is cut into words"),
    el("p", { class: "idea" }, found.normalized === null ? "Nothing in this text is changed first; it is cut where words and marks end." : "First the text is written in the one way that the vocabulary knows (its capitals, accents or spaces may change); then it is cut where words and marks end."),
    el("dl", { class: "way" }, el("dt", {}, found.title), el("dd", { class: "whole" }, found.text), found.normalized === null ? null : [el("dt", {}, "as it is read"), el("dd", { class: "whole" }, found.normalized)], el("dt", {}, "its words"), el("dd", {}, chips(found.words.map((word) => word.word)))),
    rest(found.words.length, found.word_count, "words"),
    marks(found.words.flatMap((word) => [word.word])),
  ];
}

// What stands in pieces for something else.
function marks(pieces) {
  const all = pieces.join("");
  const said = [
    all.includes("▁") ? "▁ stands for a space." : "",
    all.includes("Ġ") ? "Ġ stands for a space: every byte is written as a character." : "",
    all.includes("##") ? "## says that a piece goes on a word." : "",
    pieces.includes(" ") ? "␣ is a space, a token of its own." : "",
    pieces.includes("\n") ? "↵ is the end of a line." : "",
  ].filter(Boolean);
  return said.length ? el("p", { class: "note" }, said.join(" ")) : null;
}

function pieces(run, found) {
  return [
    el("h2", {}, "Each word is cut into pieces"),
    el("p", { class: "idea" }, found.idea),
    el("div", { class: "cuts" }, found.words.map(oneWord)),
    rest(found.words.length, found.word_count, "words"),
    marks(found.words.flatMap((word) => word.steps.flatMap((step) => step.pieces))),
  ];
}

// A word, step by step: the piece that a step made is the first that was not there before it.
function oneWord(word) {
  const rows = word.steps.map((step, at) => {
    const before = at ? word.steps[at - 1].pieces : step.pieces;
    const made = step.pieces.findIndex((piece, place) => piece !== before[place]);
    return el(
      "li",
      { "data-rank": step.rank, "data-score": step.score },
      el("span", { class: "pieces" }, step.pieces.map((piece, place) => el("span", { class: place === made ? "piece made" : "piece" }, visible(piece)))),
      el("small", {}, step.says),
    );
  });
  return el("section", { class: "word" }, el("h3", {}, visible(word.word)), el("ol", {}, rows));
}

function numbered(run, found) {
  const pairs = found.tokens.map((token, at) => ({ token, id: found.ids[at] }));
  const list = (each) => el("li", { "data-id": each.id }, el("b", {}, visible(each.token)), el("span", {}, String(each.id)));
  return [
    el("h2", {}, "Each piece has a number"),
    el("p", { class: "idea" }, "The number is the piece's place in the vocabulary. From here on the model knows nothing of letters: it has these numbers and what it learnt about each of them."),
    el("h3", {}, "the pieces"),
    el("ol", { class: "ids" }, pairs.map(list)),
    rest(pairs.length, found.token_count, "pieces"),
    found.read.length ? [el("h3", {}, `what the ${found.side} reads`), el("ol", { class: "ids read" }, found.read.map(list)), el("p", { class: "note" }, "Tokens in brackets are no part of the text: they tell the model where it begins and ends.")] : null,
    el("p", { class: "note" }, found.agrees ? "The tokenizers library, which does this work everywhere else, comes to the same numbers." : "The tokenizers library comes to other numbers here, and it is its numbers that the model reads."),
    marks(found.tokens),
  ];
}

// ---------------------------------------------------------------- from numbers to the answer

/** How the answer follows from the last step. */
export async function concluding(run) {
  const found = await ask(`api/runs/${run.run}/ending`);
  const drawn = { written: writing, label: labels, names, answer: spans, filled: gaps }[found.kind];
  const from = ["head.probabilities", "head.logits"].find((name) => run.byName.has(name));
  return el(
    "article",
    { class: `end ${found.kind}` },
    el("h2", {}, found.title),
    el("p", { class: "idea" }, found.idea),
    from ? el("div", { class: "links" }, el("span", { class: "what" }, "read off"), el("a", { class: "chip", href: address({ view: "map", step: from }) }, from)) : null,
    drawn(run, found),
  );
}

function writing(run, found) {
  const rows = run.written.map((each, at) =>
    el("tr", {}, el("th", { scope: "row" }, visible(each.token)), share(each.probability), cell(found.tokens[at].log_probability), el("td", {}, each.alternatives.filter((other) => other.id !== each.id).slice(0, 3).map((other) => [el("b", {}, visible(other.token)), ` ${percent(other.probability)}  `]))),
  );
  return [
    el("p", {}, found.how),
    table("tokens", ["token", "probability", "its logarithm", "what else was likely there"], rows, "The tokens of the answer"),
    el("p", { class: "readout" }, found.lines[found.lines.length - 1]),
    el("h3", {}, "the answer"),
    el("p", { class: "whole" }, run.answer.said),
  ];
}

function labels(run, found) {
  const chosen = (label) => found.chosen.includes(label);
  const rows = found.scores.map((each) => el("tr", { class: chosen(each.label) ? "chosen" : null }, el("th", { scope: "row" }, each.label), cell(each.logit), each.probability === null ? null : [share(each.probability), el("td", {}, el("meter", { min: 0, max: 1, value: each.probability, "aria-label": each.label }))]));
  const heads = ["label", "logit", ...(found.choice === "number" ? [] : ["probability", "as a bar"])];
  return [table("labels", heads, rows, "The labels"), el("h3", {}, "the answer"), el("p", { class: "whole" }, run.answer.said)];
}

function names(run, found) {
  const rows = found.words.map((word) => el("tr", { class: word.label === "O" ? null : "chosen" }, el("th", { scope: "row" }, word.text), el("td", {}, word.label), share(word.probability), el("td", {}, chips(word.tokens.map((number) => found.tokens[number].token)))));
  const lines = found.names.map((name) => el("tr", { class: "chosen" }, el("th", { scope: "row" }, name.text), el("td", {}, name.type), share(name.probability)));
  return [
    table("words", ["word", "label", "probability", "its pieces"], rows, "The words and their labels"),
    lines.length ? table("found", ["name", "kind", "mean probability"], lines, "The names") : el("p", {}, "No word is part of a name."),
    el("h3", {}, "the answer"),
    named(run.answer),
  ];
}

function spans(run, found) {
  const best = (each) => el("tr", { class: each.text === found.answer ? "chosen" : null }, el("th", { scope: "row" }, each.text), cell(each.log_probability), share(each.probability), el("td", {}, `${each.start} to ${each.end}`));
  const nothing = el("tr", { class: found.answer ? null : "chosen" }, el("th", { scope: "row" }, "(no answer)"), cell(found.no_answer), share(found.no_answer_probability), el("td"));
  const windows = found.windows.length > 1 ? el("p", { class: "note" }, `The context was read in ${found.windows.length} windows that overlap; each candidate counts where it is likeliest. This run is window ${found.window}.`) : null;
  return [
    table("candidates", ["piece of the context", "sum of logarithms", "probability", "characters"], [...found.candidates.map(best), nothing], "The likeliest answers"),
    windows,
    el("p", { class: "readout" }, found.lines[found.lines.length - 2]),
    el("h3", {}, "the answer"),
    run.context ? marked(run.answer, run.context) : el("p", { class: "whole" }, run.answer.said),
  ];
}

function gaps(run, found) {
  return [
    found.hidden.map((each) => [
      el("h3", {}, `position ${each.place}`),
      table("filled", ["word", "probability"], each.candidates.map((one, at) => el("tr", { class: at ? null : "chosen" }, el("th", { scope: "row" }, visible(one.word)), share(one.probability))), `Position ${each.place}`),
    ]),
    el("h3", {}, "the answer"),
    el("p", { class: "whole" }, run.answer.said),
  ];
}
