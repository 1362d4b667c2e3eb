// What an answer hangs on: which tokens, what each layer would have said, and how two runs differ.

import { ask, Refused } from "./api.js";
import { el, exact, percent, short, visible } from "./dom.js";
import { address, go, state, wish } from "./store.js";

const SIDES = { encoder: "what the encoder reads", decoder: "what the decoder reads" };
const MOST = 40; // steps that differ which are listed

/** Attribution on the tokens, the guess of each layer, and the difference to another run. */
export async function understand(run) {
  const now = state();
  const parts = await Promise.all([attribution(run, now), lens(run), differences(run, now)].map(orSentence));
  return el("section", { class: "understand" }, parts);
}

// A part that this run cannot have says so; the others stay.
async function orSentence(part) {
  try {
    return await part;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return el("p", { class: "note" }, error.message);
  }
}

async function attribution(run, now) {
  const methods = await ask("api/methods");
  const method = methods.includes(now.method) ? now.method : "integrated-gradients";
  const query = new URLSearchParams({ method });
  for (const key of ["target", "against", "position"]) if (now[key]) query.set(key, now[key]);
  const choose = el("select", { "aria-label": "Method" }, methods.map((each) => el("option", { selected: each === method }, each)));
  const field = (key, title) => el("input", { type: "text", size: 12, placeholder: key === "target" ? "the one given" : "if you like", value: now[key] || "", "aria-label": title });
  const fields = { target: field("target", "Answer asked about"), against: field("against", "and not"), position: field("position", "Number of the word or token") };
  const form = el(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        const next = Object.fromEntries(Object.entries(fields).map(([key, each]) => [key, each.value || null]));
        go({ method: choose.value, ...next });
      },
    },
    el("label", {}, "method ", choose),
    el("label", {}, "why this answer ", fields.target),
    el("label", {}, "and not that one ", fields.against),
    el("label", {}, "at word or token number ", fields.position),
    el("button", { class: "tool", type: "submit" }, "ask"),
  );
  const shown = ask(`api/runs/${run.run}/attribution?${query}`).then((found) => [
    el("p", { class: "lead" }, found.said, found.completeness_error === null ? null : `; the shares miss it by ${percent(found.completeness_error)}`),
    found.sides.map((side) => [found.sides.length > 1 ? el("h3", {}, SIDES[side.side] || side.side) : null, scored(side)]),
    el("p", { class: "note" }, "Orange speaks for it, blue against it, as strongly as it is coloured; point at a token for its share."),
  ]);
  return el("article", {}, el("h2", {}, "Which tokens it hangs on"), form, await orSentence(shown));
}

// How strong a colour is says how large a share; the largest of its side is full.
function scored(side) {
  const peak = Math.max(...side.tokens.map((each) => Math.abs(each.score))) || 1;
  return el(
    "p",
    { class: "scored" },
    side.tokens.map((each) =>
      el(
        "span",
        {
          tabindex: 0,
          title: short(each.score),
          "data-score": each.score,
          style: `background:rgba(var(--${each.score < 0 ? "minus" : "plus"}),${(0.55 * (Math.abs(each.score) / peak)).toFixed(3)})`,
        },
        visible(each.text),
      ),
    ),
  );
}

async function lens(run) {
  const found = await ask(`api/runs/${run.run}/lens`);
  const head = el("tr", {}, el("th", { scope: "col" }, "after"), found.positions.map((each) => el("th", { scope: "col" }, visible(each))));
  const rows = found.guesses.map((row, layer) =>
    el("tr", {}, el("th", { scope: "row" }, /^\d+$/.test(found.layers[layer]) ? `layer ${found.layers[layer]}` : found.layers[layer]), row.map((guess) => el("td", { title: exact(guess.probability, "f8") }, visible(guess.answer), " ", el("small", {}, percent(guess.probability))))),
  );
  return el(
    "article",
    {},
    el("h2", {}, "What each layer would have said"),
    el("p", { class: "lead" }, "The rows after each layer, read by the head as if they were the last."),
    el("div", { class: "scroll", tabindex: 0 }, el("table", { class: "lens" }, el("thead", {}, head), el("tbody", {}, rows))),
  );
}

async function differences(run, now) {
  const model = el("input", { type: "text", value: now.othermodel || run.model.name, "aria-label": "Another model" });
  const text = el("input", { type: "text", size: 30, value: now.othertext || "", placeholder: run.text, "aria-label": "Another text" });
  const form = el(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        go({ othermodel: model.value, othertext: text.value || run.text });
      },
    },
    el("label", {}, "model ", model),
    el("label", {}, "text ", text),
    el("button", { class: "tool", type: "submit" }, "compare"),
  );
  const parts = [el("h2", {}, "Held against another run"), form];
  if (run.before && !now.othermodel) parts.push(await orSentence(compared(run, run.before.run, "before the change")));
  else if (now.othermodel) {
    const other = ask("api/runs", { ...wish(now), model: now.othermodel, text: now.othertext, task: null });
    parts.push(await orSentence(other.then((made) => compared(run, made.run, `${now.othermodel}, “${now.othertext}”`))));
  }
  return el("article", {}, parts);
}

async function compared(run, other, called) {
  const found = await ask(`api/runs/${run.run}/differences/${other}`);
  const steps = [...found.differences].sort((one, two) => two.relative - one.relative).slice(0, MOST);
  const rows = steps.map((each) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, el("a", { href: address({ view: "map", step: each.step }) }, each.step)),
      [each.relative, each.largest, each.cosine].map((value) => el("td", { title: value === null ? null : exact(value, "f8") }, value === null ? "" : short(value))),
    ),
  );
  const heads = ["step", "relative", "largest", "cosine"].map((each) => el("th", { scope: "col" }, each));
  return [
    el("p", { class: "lead" }, `against ${called}: “${found.answers[0]}” and “${found.answers[1]}”; the steps that differ most`),
    el("div", { class: "scroll", tabindex: 0 }, el("table", { class: "differences" }, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows))),
  ];
}
