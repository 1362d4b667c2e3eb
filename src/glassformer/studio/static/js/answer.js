// An answer of any task: words as they come with their probabilities, bars of labels, names in colour, an answer in its context.

import { el, percent, visible } from "./dom.js";

/** A strip of tokens that grows; each says how sure the model was, and what else it weighed. */
export function showTokens(box) {
  const strip = el("p", { class: "tokens" });
  box.replaceChildren(strip);
  return {
    add(token) {
      if (token.probability === undefined) return;
      strip.append(word(token));
    },
  };
}

function word(token) {
  const others = token.alternatives.map((each) => el("li", {}, `${visible(each.token)} ${percent(each.probability)}`));
  return el(
    "span",
    { class: "token", tabindex: 0, style: `--sure:${token.probability}`, "data-probability": token.probability },
    visible(token.token),
    el("span", { class: "others" }, el("p", {}, percent(token.probability)), el("ul", {}, others)),
  );
}

/** The whole answer of a run; of one in which something was changed, what it was before beside it. */
export function showAnswer(box, run) {
  const told = run.before
    ? [
        el(
          "div",
          { class: "sides" },
          el("div", { class: "before" }, el("h2", { class: "side" }, "before"), one(run.before)),
          el("div", { class: "after" }, el("h2", { class: "side" }, "after the change"), one(run)),
        ),
      ]
    : [one(run), ...(run.written.length ? [el("p", { class: "tokens" }, run.written.map(word))] : [])];
  box.replaceChildren(...told);
}

function one(run) {
  const answer = run.answer;
  if (run.wanted) return el("p", { class: "whole" }, el("small", {}, "it learns "), run.wanted);
  if (answer.probabilities) return bars(answer);
  if (answer.entities) return named(answer);
  if (answer.start !== undefined && run.context) return marked(answer, run.context);
  return el("p", { class: "whole" }, answer.said);
}

function bars(answer) {
  const rows = Object.entries(answer.probabilities).sort((one, other) => other[1] - one[1]);
  return el(
    "dl",
    { class: "bars" },
    rows.map(([label, share]) => [
      el("dt", { class: label === answer.label ? "chosen" : null }, label),
      el("dd", {}, el("meter", { min: 0, max: 1, value: share, "aria-label": label }), percent(share)),
    ]),
  );
}

/** Names in the colour of their kind, in their text. */
export function named(answer) {
  const parts = [];
  const kinds = [...new Set(answer.entities.map((each) => each.type))];
  let at = 0;
  for (const each of answer.entities) {
    parts.push(answer.text.slice(at, each.start));
    parts.push(el("mark", { class: `kind-${kinds.indexOf(each.type) % 6}`, title: percent(each.probability) }, answer.text.slice(each.start, each.end), el("small", {}, each.type)));
    at = each.end;
  }
  parts.push(answer.text.slice(at));
  return el("p", { class: "whole" }, parts);
}

/** An answer where it stands in its context. */
export function marked(answer, context) {
  return el("p", { class: "whole" }, context.slice(0, answer.start), el("mark", { class: "kind-0" }, context.slice(answer.start, answer.end)), context.slice(answer.end));
}
