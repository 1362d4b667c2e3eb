"use strict";
// Who looks at whom: every head at a glance, and one layer as lines between its words, as BertViz draws them (Vig 2019).

const HUES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7a5195", "#5f6b6d"]; // after Okabe and Ito 2008
const FAINT = 0.01; // lines of less weight are not drawn
const CROWD = 12000; // so many lines are drawn at once
const LINE = 26; // pixels from word to word

const attends = (step) => /_attention\.weights$/.test(step.name);

function attentionKinds() {
  const kinds = new Map();
  for (const step of data.steps.filter(attends)) {
    const [side, , layer, part] = step.name.split(".");
    const kind = `${side}, ${part.replace("_", "-")}`;
    kinds.set(kind, [...(kinds.get(kind) || []), [Number(layer), step]]);
  }
  return kinds;
}

function drawAttention(main, state) {
  if (steps.has(state.attention) && attends(steps.get(state.attention))) drawLayer(main, state, steps.get(state.attention));
  else drawHeads(main);
  put(main, legend(), keys());
}

function drawHeads(main) {
  put(
    main,
    el("h2", {}, "Who looks at whom"),
    el("p", { class: "idea" }, "Each picture is one head: a row for each word that looks, a column for each word it may look at. Choose one to see it large."),
  );
  for (const [kind, layers] of attentionKinds()) {
    const rows = el("div", { class: "rows" });
    for (const [layer, step] of layers) put(rows, el("div", { class: "title" }, `layer ${layer}`), headGrids(step, null, {}));
    put(main, el("h3", {}, kind), rows);
  }
}

function headGrids(step, head, state) {
  const grids = [];
  for (let i = 0; i < heads(step); i++) {
    const link = hash({ ...state, attention: step.name, head: i });
    grids.push(thumb(step, i, Number(state.text) || 0, String(i), head === null ? null : String(i === head), { href: link, hue: head === null ? null : HUES[i % HUES.length] }));
  }
  return el("div", { class: "strip" }, grids);
}

function drawLayer(main, state, step) {
  const head = Math.min(Number(state.head) || 0, heads(step) - 1);
  const text = Math.min(Number(state.text) || 0, texts(step) - 1);
  const view = tile(step, head, text);
  const [side, , layer, part] = step.name.split(".");
  const siblings = attentionKinds().get(`${side}, ${part.replace("_", "-")}`);
  const others = siblings.map(([n, other]) => el("a", { class: "tool", href: hash({ ...state, attention: other.name }), "aria-current": other === step ? "page" : null }, String(n)));
  const readout = el("div", { class: "readout", "aria-live": "polite" });
  put(
    main,
    el("h2", {}, `Who looks at whom: ${side}, ${part.replace("_", "-")}, layer ${layer}`),
    el("div", { class: "links" }, el("span", { class: "what" }, "layer"), others),
    el("div", { class: "links" }, el("span", { class: "what" }, "step"), chip(step.name)),
    heads(step) > 1 ? [el("h3", {}, "Heads"), headGrids(step, head, state)] : null,
  );
  const large = view.columns <= WHOLE && view.rows <= LONG ? table(view, head, readout, state) : heat(view, head, readout, state);
  put(
    main,
    el("div", { class: "columns" }, el("section", {}, el("h3", {}, heads(step) > 1 ? `Head ${head}, from each row to each column` : "From each row to each column"), large, readout, leftOut(step)), lines(step, state, head, text)),
  );
}

// ---------------------------------------------------------------- lines between words

function lines(step, state, head, text) {
  const every = state.heads === "all" && heads(step) > 1;
  const shown = every ? Array.from({ length: heads(step) }, (_, i) => i) : [head];
  const views = shown.map((i) => [i, tile(step, i, text)]);
  const view = views[0][1];
  const pinned = state.at === undefined ? null : Math.min(Number(state.at.split(",")[0]) || 0, view.rows - 1);
  const high = Math.max(view.rows, view.columns) * LINE;
  const drawing = svg("svg", { viewBox: `0 0 200 ${high}`, preserveAspectRatio: "none", style: `height:${high}px`, "aria-hidden": "true" });
  const right = [];
  for (let c = 0; c < view.columns; c++) right.push(el("div", { class: "word" }, el("span", {}, view.column(c)), el("em")));
  const left = [];
  const show = (from) => {
    drawing.replaceChildren(...strokes(views, from));
    left.forEach((word, r) => word.classList.toggle("at", r === from));
    right.forEach((word, c) => mark(word, view, from, c, every));
  };
  for (let r = 0; r < view.rows; r++) {
    const href = hash({ ...state, at: r });
    left.push(el("a", { class: "word", href, onmouseenter: () => show(r), onmouseleave: () => show(pinned), onfocus: () => show(r), onblur: () => show(pinned) }, view.row(r)));
  }
  show(pinned);
  const both = heads(step) > 1 ? el("a", { class: "tool", href: hash({ ...state, heads: every ? "one" : "all" }), role: "button" }, every ? `only head ${head}` : "all heads, each in its colour") : null;
  const unpin = pinned === null ? null : el("a", { class: "tool", href: hash(without({ ...state }, "at")) }, "all words");
  const says = `A line is as strong as its weight; weights below ${FAINT} have none. Point at a word on the left for its own.`;
  return el("section", {}, el("h3", {}, "Lines"), el("div", { class: "links" }, both, unpin), el("div", { class: "lines" }, el("div", { class: "left" }, left), drawing, el("div", {}, right)), el("p", { class: "note" }, says));
}

function strokes(views, from) {
  const found = [];
  for (const [head, view] of views) {
    for (let r = 0; r < view.rows; r++) {
      if (from !== null && r !== from) continue;
      for (let c = 0; c < view.columns && found.length < CROWD; c++) {
        const weight = view.value(r, c);
        if (weight < FAINT) continue;
        found.push(svg("line", { x1: 0, x2: 200, y1: (r + 0.5) * LINE, y2: (c + 0.5) * LINE, stroke: HUES[head % HUES.length], "stroke-opacity": weight.toFixed(3), "stroke-width": 2, "vector-effect": "non-scaling-stroke" }));
      }
    }
  }
  return found;
}

function mark(word, view, from, c, every) {
  const one = from !== null && !every;
  word.style.background = one ? background(view.step, view.value(from, c)) : "";
  word.style.color = one ? ink(view.step, view.value(from, c)) : "";
  word.lastChild.textContent = one ? short(view.value(from, c), view.kind, view.digits) : "";
}

function svg(tag, attributes, ...children) {
  const space = document.querySelector("svg").namespaceURI;
  const node = document.createElementNS(space, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
