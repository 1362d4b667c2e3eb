// The whole model as data flow: stack by stack, layer by layer, every step of the run in the part that makes it.

import { el, last, symbol } from "./dom.js";
import { address } from "./store.js";

const PARTS = { self_attention: "self-attention", cross_attention: "cross-attention", feed_forward: "feed-forward", embedding: "embedding", relative: "distances" };
const SIDES = { encoder: "Encoder", decoder: "Decoder", head: "Head", loss: "Loss" };
const STREAM = /\.after_\w+$/; // the residual stream after a part was added to it

/** A picture of the run in boxes; each step in them is a link. */
export function flow(run) {
  const sides = Object.keys(SIDES).filter((side) => run.chapters.some((chapter) => chapter.side === side));
  return el(
    "article",
    { class: "flow" },
    el("h2", {}, "The whole model"),
    el("p", { class: "idea" }, "The text flows from top to bottom. The line at the left is the residual stream: each part reads it, and what the part makes is added to it again (⊕). Every letter is a matrix of this run: choose one to see its numbers."),
    sides.map((side) => stack(run, side)),
  );
}

function stack(run, side) {
  const chapters = run.chapters.filter((chapter) => chapter.side === side);
  const layers = new Map(); // null before the layers, "after" them, each layer between
  for (const chapter of chapters) {
    const key = chapter.layer ?? (layers.size > 1 || side === "head" || side === "loss" ? "after" : "before");
    layers.set(key, [...(layers.get(key) || []), ...chapter.steps]);
  }
  return el(
    "section",
    { class: "stack" },
    el("h3", {}, SIDES[side]),
    [...layers].map(([key, steps]) => row(run, typeof key === "number" ? `layer ${key}` : "", steps)),
  );
}

// One layer: its parts from left to right, between them what stands on the stream.
function row(run, title, names) {
  const groups = [];
  for (const name of names) {
    const part = name.slice(0, name.lastIndexOf("."));
    const kind = STREAM.test(name) ? "stream" : kindOf(part);
    const before = groups[groups.length - 1];
    if (before && before.part === part && before.kind === kind && kind !== "stream") before.steps.push(name);
    else groups.push({ part, kind, steps: [name] });
  }
  return el(
    "div",
    { class: "layer" },
    el("span", { class: "what" }, title),
    el("div", { class: "parts" }, groups.map((group) => box(run, group))),
  );
}

function kindOf(part) {
  const own = last(part);
  if (PARTS[own]) return own;
  return own.endsWith("norm") ? "norm" : "plain";
}

function box(run, { part, kind, steps }) {
  const own = last(part);
  const title = kind === "stream" ? "⊕" : kind === "norm" ? "norm" : PARTS[own] || (part.includes(".") ? own.replaceAll("_", " ") : "");
  const link = (name) => {
    const step = run.byName.get(name);
    return el("a", { class: step.edited ? "edited" : null, href: address({ view: "map", step: name, head: null, row: null, column: null, word: null }), title: name }, step.symbol ? [symbol(step.symbol), el("span", { class: "unseen" }, ` ${name}`)] : el("i", {}, last(name).replaceAll("_", " ")));
  };
  return el("div", { class: `part ${kind}` }, title ? el("small", {}, title) : null, el("span", {}, steps.map(link)));
}
