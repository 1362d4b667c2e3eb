// Learning from one answer: what is wanted, how far the model is from it, every gradient, one update.

import { numbers } from "./api.js";
import { el, exact, short } from "./dom.js";
import { address, go, state } from "./store.js";
import { screens } from "./walk.js";

const HINTS = { tagging: "a label for each word, with commas between", classification: "a label", filling: "the hidden words, with commas between", answering: "a piece of the context" };

/** What is wanted, and, once it is, the way from the loss to the changed weights. */
export async function learn(run) {
  const now = state();
  const wanted = el("input", { type: "text", size: 40, value: now.target ?? usual(run), required: true, placeholder: HINTS[run.model.task] || "the right answer", "aria-label": "The answer that is wanted" });
  const rate = el("input", { type: "number", step: "any", min: 0, value: now.rate || run.model.rate || 0.001, "aria-label": "Learning rate" });
  const form = el(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        go({ view: "learn", target: wanted.value, rate: rate.value, at: null, step: null, edits: null });
      },
    },
    el("label", { class: "wide" }, "the right answer would be ", wanted),
    el("label", {}, "learning rate ", rate),
    el("button", { class: "tool", type: "submit" }, "one step of training"),
    now.target === undefined ? null : el("a", { class: "tool", href: address({ target: null, rate: null, at: null, step: null }) }, "leave it"),
  );
  return el(
    "section",
    { class: "learn" },
    el("h2", {}, "Learn from one answer"),
    el("p", { class: "opening" }, "Say what the answer should have been. The model is run on it, the loss says how far off it is, and from the loss back to the embeddings every number gets its gradient; one update by AdamW then moves every weight a little. The model itself stays as it is."),
    form,
    now.target === undefined ? null : await shown(run),
  );
}

// What the model says now, as a beginning.
function usual(run) {
  const { said, label, new: written, text } = run.answer;
  if (run.model.task === "generation") return written || "";
  if (run.model.task === "answering") return text ?? "";
  return { classification: label, translation: said, summarization: said }[run.model.task] || "";
}

async function shown(run) {
  const order = screens(run);
  const first = (side) => order.findIndex((screen) => screen.side === side);
  const one = async (name) => (run.byName.has(name) ? (await numbers(run.run, name)).array[0] : null);
  const [loss, norm, factor] = await Promise.all(["loss.mean", "update.gradient_norm", "update.clip_factor"].map(one));
  const figure = (title, value) => (value === null ? null : el("div", {}, el("dt", {}, title), el("dd", { title: exact(value, "f8") }, short(value))));
  const door = (side, title, says) => el("a", { class: "door", href: address({ view: "walk", at: first(side), step: null }) }, el("b", {}, title), says);
  const learnt = Object.keys(run.parameters).filter((name) => run.byName.has(`update.${name}.new`));
  return [
    el("dl", { class: "figures" }, figure("loss", loss), figure("length of the gradient", norm), figure("times, to cut it", factor)),
    el(
      "p",
      { class: "doors" },
      door("loss", "How far off it is", "the loss, from the probabilities"),
      door("gradient", "Back", "the gradient of every number, step by step"),
      door("update", "One update", "how AdamW moves every weight"),
    ),
    el(
      "div",
      { class: "scroll", tabindex: 0 },
      el(
        "table",
        { class: "differences" },
        el("thead", {}, el("tr", {}, ["parameter", "its gradient", "afterwards"].map((title) => el("th", { scope: "col" }, title)))),
        el(
          "tbody",
          {},
          learnt.map((name) => {
            const to = (step, text) => el("a", { href: address({ view: "map", step, head: null, row: null, column: null }) }, text);
            return el("tr", {}, el("th", { scope: "row" }, to(name, name)), el("td", {}, to(`gradient.${name}`, "∂")), el("td", {}, to(`update.${name}.new`, "new")));
          }),
        ),
      ),
    ),
  ];
}
