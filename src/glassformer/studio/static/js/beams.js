// A search as the tree that it was: columns are positions, every continuation that was weighed stands in its column.

import { ask } from "./api.js";
import { el, percent, visible } from "./dom.js";
import { address, state } from "./store.js";

const NS = "http://www.w3.org/2000/svg";
const WIDE = 128; // pixels between positions
const HIGH = 24; // and between the continuations of one

function svg(tag, attributes, content) {
  const node = document.createElementNS(NS, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (content !== undefined) node.textContent = content;
  return node;
}

const SEARCHES = { beams: "beams", groups: "groups of one beam, each kept from what others choose", contrastive: "candidates, kept from repeating" };

/** The tree of the run's text, how it was searched for, and how many continuations go on. */
export async function beams(run) {
  const [count, search] = [Number(state().beams || 4), state().search || "beams"];
  const tree = await ask(`api/runs/${run.run}/beams?beams=${count}&search=${search}`);
  const readout = el("p", { class: "readout", "aria-live": "polite" }, "Point at a token, or go through them with Tab: it says why it stayed or was dropped.");
  const choices = [2, 3, 4, 5, 8].map((each) =>
    el("a", { class: "head", href: address({ view: "beams", beams: each }), "aria-current": each === count ? "true" : null }, String(each)),
  );
  const searches = Object.entries(SEARCHES).map(([each, called]) =>
    el("a", { class: "head", href: address({ view: "beams", search: each }), "aria-current": each === search ? "true" : null }, called),
  );
  return el(
    "section",
    { class: "tree" },
    el("h2", {}, tree.answer),
    el("p", { class: "lead" }, `${tree.says}: ${tree.nodes.length} continuations weighed`),
    el("nav", { class: "heads", "aria-label": "Search" }, el("span", { class: "what" }, "search"), searches),
    el("nav", { class: "heads", "aria-label": "Beams" }, el("span", { class: "what" }, "so many"), choices),
    el("div", { class: "scroll" }, drawn(tree, readout)),
    readout,
    el(
      "ol",
      { class: "finished" },
      tree.finished.map((one) => el("li", {}, el("b", {}, tree.nodes[one.node].text), ` ${one.figures}`)),
    ),
  );
}

function drawn(tree, readout) {
  const ranks = Math.max(...tree.nodes.map((node) => node.rank)) + 1;
  const positions = Math.max(...tree.nodes.map((node) => node.position)) + 1;
  const picture = svg("svg", {
    width: positions * WIDE + 40,
    height: ranks * HIGH + 20,
    role: "group",
    "aria-label": "tree of the search",
  });
  const x = (node) => node.position * WIDE + 24;
  const y = (node) => node.rank * HIGH + 22;
  for (const node of tree.nodes) {
    if (node.parent === null) continue;
    const parent = tree.nodes[node.parent];
    const [fromX, fromY, toX, toY] = [x(parent) + WIDE - 44, y(parent) - 4, x(node) - 6, y(node) - 4];
    picture.append(svg("path", { class: `edge ${node.fate}${node.chosen ? " chosen" : ""}`, d: `M${fromX} ${fromY} C${fromX + 22} ${fromY} ${toX - 22} ${toY} ${toX} ${toY}` }));
  }
  for (const node of tree.nodes) {
    const mark = svg("text", { class: `node ${node.fate}${node.chosen ? " chosen" : ""}`, x: x(node), y: y(node), tabindex: node.fate === "dropped" ? -1 : 0 }, visible(node.token));
    const tell = () => {
      readout.textContent = `${node.text}: ${percent(node.probability)} here, ${node.figures}; ${node.reason}`;
    };
    mark.addEventListener("mouseenter", tell);
    mark.addEventListener("focus", tell);
    picture.append(mark);
  }
  return picture;
}
