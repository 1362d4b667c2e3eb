// The views of a run; the map and attention are drawn here.

import { numbers } from "./api.js";
import { beams } from "./beams.js";
import { breaking, el, exact, percent } from "./dom.js";
import { flow } from "./flow.js";
import { learn } from "./learn.js";
import { look, namesOf, titled } from "./look.js";
import { address, place, state } from "./store.js";
import { understand } from "./understand.js";
import { walk } from "./walk.js";
import { bitmap, draw, heads, layout, matrix, partOf } from "./tensor.js";

const always = () => true;
const writes = (run) => ["translation", "summarization", "generation"].includes(run.model.task) && !run.wanted;
const SIGHT = 96; // positions of a thumbnail: of longer texts every second, third, ... is fetched

/** name -> its title, what draws it, and for which runs there is such a view. */
export const VIEWS = {
  walk: ["Walk", walk, always],
  map: ["Map", map, always],
  attention: ["Attention", attention, always],
  beams: ["Beams", beams, writes],
  understand: ["Understand", understand, (run) => !run.wanted],
  learn: ["Learn", learn, (run) => run.model.task !== "hidden"],
};

// ---------------------------------------------------------------- map: every step, and one of them whole

let mapped = { run: null, section: null, mark: null }; // of the run that is looked at: its list stays where it was scrolled to

async function map(run) {
  const chosen = state().step;
  if (mapped.run !== run || !mapped.section.isConnected) mapped = charted(run, chosen);
  const shown = chosen ? await look(run, chosen) : flow(run);
  const turned = mapped.mark(chosen);
  mapped.section.lastElementChild.replaceWith(shown);
  const below = getComputedStyle(mapped.section.firstElementChild).position === "static"; // the list stands above it
  if (turned && below) requestAnimationFrame(() => shown.scrollIntoView());
  return mapped.section;
}

// The list of all steps, with a search; `mark` says which of them is looked at.
function charted(run, chosen) {
  const box = el("input", { type: "search", placeholder: "find a step", "aria-label": "Find a step" });
  const list = el("div", { class: "list" });
  const whole = el("a", { class: "all", href: "#" }, "The whole model");
  let here = chosen;
  const links = new Map();
  const link = (name) => el("a", { href: "#", title: name }, titled(run.byName.get(name)));
  for (const step of run.steps) links.set(step.name, link(step.name));
  const fill = () => {
    const wanted = box.value.trim().toLowerCase();
    list.replaceChildren(
      ...run.chapters.map((chapter) => {
        const names = chapter.steps.filter((name) => name.toLowerCase().includes(wanted));
        if (!names.length) return "";
        const open = Boolean(names.includes(here) || wanted) || run.chapters.length < 9;
        return el("details", { open }, el("summary", {}, chapter.title), el("ol", {}, names.map((name) => el("li", {}, links.get(name)))));
      }),
    );
  };
  const mark = (name) => {
    const turned = Boolean(name) && name !== here;
    links.get(here)?.removeAttribute("aria-current");
    here = name;
    links.get(here)?.setAttribute("aria-current", "true");
    links.get(here)?.closest("details")?.setAttribute("open", "");
    const elsewhere = address({ view: "map", step: null, head: null, row: null, column: null, word: null });
    for (const [each, link] of links) link.href = `${elsewhere}&step=${encodeURIComponent(each)}`;
    if (name) whole.removeAttribute("aria-current");
    else whole.setAttribute("aria-current", "true");
    whole.href = elsewhere;
    return turned;
  };
  box.addEventListener("input", fill);
  fill();
  return { run, section: el("section", { class: "map" }, el("nav", { "aria-label": "Steps" }, box, whole, list), el("div")), mark };
}

// ---------------------------------------------------------------- attention: all heads at a glance, one as lines

async function attention(run) {
  const layers = run.steps.filter((step) => step.name.endsWith("_attention.weights") && step.share);
  if (!layers.length) return el("p", { class: "note" }, "This run has no attention.");
  const chosen = run.byName.get(state().step || "") || layers[layers.length - 1];
  const step = layers.includes(chosen) ? chosen : layers[layers.length - 1];
  const head = Math.min(place("head"), step.shape[1] - 1);
  const grids = await Promise.all(layers.map((layer) => strip(run, layer, step, head)));
  return el("section", { class: "attention" }, el("div", { class: "grids" }, grids), await oneHead(run, step, head));
}

// All heads of a layer, fetched together.
async function strip(run, layer, chosen, head) {
  const [rows, columns] = layer.shape.slice(-2);
  const each = Math.ceil(Math.max(rows, columns) / SIGHT);
  const every = `::${each}`;
  const found = await numbers(run.run, layer.name, `0,:,${every},${every}`);
  const [count, high, wide] = found.shape;
  const parts = layer.name.split(".");
  const thumbs = [];
  for (let number = 0; number < count; number++) {
    const from = number * high * wide;
    const one = { ...found, shape: [high, wide], array: found.array.subarray(from, from + high * wide) };
    const picture = bitmap(matrix(one, { share: true, hidden: run.hidden }));
    picture.classList.add("thumb");
    const here = layer === chosen && number === head;
    const title = `${layer.name}, head ${number}${each > 1 ? `, one position in ${each}` : ""}`;
    thumbs.push(el("a", { href: address({ view: "attention", step: layer.name, head: number }), "aria-current": here ? "true" : null, title, "aria-label": title }, picture));
  }
  return el("div", { class: "row" }, el("span", { class: "what" }, `${parts[0]} ${parts[2]} ${parts[3].replace("_attention", "")}`), thumbs);
}

async function viewOf(run, step, head) {
  const at = layout(step.axes.split(" "));
  return matrix(await numbers(run.run, step.name, partOf(step, { head })), {
    rowNames: namesOf(run, step, at.rows),
    columnNames: namesOf(run, step, at.columns),
    share: true,
    hidden: run.hidden,
  });
}

async function oneHead(run, step, head) {
  const view = await viewOf(run, step, head);
  const lines = el("div", { class: "lines" });
  const show = (row) => fillLines(lines, view, row);
  show(view.rows - 1);
  const readout = el("p", { class: "readout", "aria-live": "polite" }, "Point at a cell, or move over them with the arrow keys, to see its share.");
  const tell = (row, column) => {
    show(row);
    const value = view.value(row, column);
    readout.replaceChildren(el("span", { class: "where" }, `${view.row(row)} takes of ${view.column(column)}: `), el("span", { class: "exact" }, exact(value, view.kind)), ` ${percent(value)}`);
  };
  return el(
    "div",
    { class: "one", "data-step": step.name },
    el("h2", {}, breaking(step.name), `, head ${head}`),
    el("p", { class: "lead" }, "Each row looks at the columns; its shares add up to one. Point at a row to see where it looks."),
    lines,
    readout,
    draw(view, tell),
    el("p", {}, el("a", { class: "chip", href: address({ view: "map", step: step.name }) }, "the step itself")),
  );
}

// Words on both sides, lines as strong as the share that the query takes of the key.
function fillLines(box, view, row) {
  const NS = "http://www.w3.org/2000/svg";
  const high = Math.max(view.rows, view.columns) * 22 + 8;
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 460 ${high}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `where ${view.row(row)} looks`);
  const add = (tag, attributes, content) => {
    const node = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (content) node.textContent = content;
    svg.append(node);
    return node;
  };
  const y = (place) => place * 22 + 18;
  for (let c = 0; c < view.columns; c++) {
    add("line", { x1: 150, x2: 310, y1: y(row) - 4, y2: y(c) - 4, class: "look-line", "stroke-opacity": view.value(row, c) });
  }
  for (let r = 0; r < view.rows; r++) {
    const word = add("text", { x: 142, y: y(r), "text-anchor": "end", class: r === row ? "here" : "" }, view.row(r));
    word.addEventListener("mouseenter", () => fillLines(box, view, r));
  }
  for (let c = 0; c < view.columns; c++) add("text", { x: 318, y: y(c) }, view.column(c));
  box.replaceChildren(svg);
}
