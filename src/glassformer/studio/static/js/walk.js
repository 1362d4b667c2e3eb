// The guided walk, a screen at a time: from the text through every step of the run to the answer.

import { cutting, concluding } from "./ends.js";
import { el } from "./dom.js";
import { look } from "./look.js";
import { address, place } from "./store.js";

const BEGINNING = { side: "text", opening: "A model reads numbers, not letters. So the text is first cut into pieces that the model has a vocabulary of, and each piece becomes its number." };
const ENDING = { side: "answer", title: "The numbers become the answer", opening: "The model itself ends here: what it made is probabilities. This is how the answer is read off them." };

/** Every screen of a run's walk: what is told on it, and what draws it. */
export function screens(run) {
  const titled = (title) => (run.texts.length > 1 ? `${title[0].toUpperCase()}${title.slice(1)} becomes pieces` : "The text becomes pieces");
  const texts = run.texts.flatMap((title, place) => {
    const chapter = { ...BEGINNING, title: titled(title), opening: place ? "" : BEGINNING.opening };
    return ["words", "pieces", "numbers"].map((part) => ({ chapter, side: "text", draw: () => cutting(run, place, part) }));
  });
  const steps = run.chapters.flatMap((chapter) => chapter.steps.map((name) => ({ chapter, side: chapter.side, draw: () => look(run, name) })));
  const end = run.concludes ? [{ chapter: ENDING, side: "answer", draw: () => concluding(run) }] : [];
  return [...texts, ...steps, ...end];
}

/** The screen that the address says. */
export async function walk(run) {
  const order = screens(run);
  const at = Math.min(place("at"), order.length - 1);
  const { chapter, draw } = order[at];
  const opens = at === 0 || order[at - 1].chapter !== chapter;
  const to = (screen) => address({ view: "walk", at: screen, step: null, head: null, row: null, column: null });
  return el(
    "section",
    { class: "walk" },
    el(
      "header",
      { class: "turn" },
      el("a", { class: "tool", href: at > 0 ? to(at - 1) : null, rel: "prev", "aria-disabled": at > 0 ? null : "true" }, "← back"),
      el("span", {}, `step ${at + 1} of ${order.length}`),
      el("progress", { max: order.length, value: at + 1, "aria-label": "How far the walk is" }),
      el("a", { class: "tool", href: at + 1 < order.length ? to(at + 1) : null, rel: "next", "aria-disabled": at + 1 < order.length ? null : "true" }, "on →"),
    ),
    el("p", { class: "chapter" }, chapter.title),
    opens && chapter.opening ? el("p", { class: "opening" }, chapter.opening) : null,
    await draw(),
  );
}

/** Back and forward by key, in the walk. */
export function turn(event) {
  if (!document.querySelector(".walk") || event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select, table, .heat")) return;
  const link = { ArrowRight: "next", ArrowLeft: "prev" }[event.key];
  const found = link && document.querySelector(`.turn a[href][rel=${link}]`);
  if (found) found.click();
}
