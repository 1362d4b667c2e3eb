// The worked example learning in front of the reader: one sentence, random numbers, one step at a time if wanted.

import { ask, Refused, text } from "./api.js";
import { el } from "./dom.js";
import { go } from "./store.js";

const [SOURCE, TARGET, FILE] = ["I love data science", "j' aime la science des données", "worked-example.tsv"];

/** What is about to be learnt, and a button that begins, held before the first step. */
export async function lesson(tried, send) {
  const recipe = await text("lessons/worked-example.toml");
  const source = el("input", { type: "text", value: SOURCE, "aria-label": "The sentence" });
  const target = el("input", { type: "text", value: TARGET, "aria-label": "Its translation" });
  const begin = async () => {
    const pair = [source, target].map((field) => field.value.trim().replace(/\s+/g, " "));
    if (!pair.every(Boolean)) throw new Refused("the sentence or its translation is empty; write both");
    const file = await send(new File([`source\ttarget\n${pair.join("\t")}\n`], FILE));
    const started = await ask("api/trainings", { recipe, data: [`train=${file}`], probe: pair[0], target: pair[1], held: true });
    go({ train: started.training });
  };
  return [
    el(
      "section",
      { class: "train" },
      el("h2", {}, "Watch it learn"),
      el("p", { class: "opening" }, "A translator of two dimensions, small enough to recompute with a pencil. All its numbers are drawn at random, so at first it says anything. Then it learns one sentence: after each step the weights are a little different, and the sentence a little likelier."),
      el("div", { class: "fields" }, el("label", {}, el("span", {}, "The sentence"), source), el("label", {}, el("span", {}, "Its translation"), target)),
      el("p", {}, el("button", { class: "go", type: "button", onclick: () => tried(begin) }, "Begin")),
      el("details", {}, el("summary", {}, "The recipe"), el("pre", {}, recipe)),
    ),
  ];
}
