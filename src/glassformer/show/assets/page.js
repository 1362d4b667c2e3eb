"use strict";
// The frame of the page, its overview, and what is shown now.

function drawTop(state) {
  const reads = data.tokens.encoder || data.tokens.decoder || [[]];
  const said = el("p", { class: "said" }, reads[0].join(" "));
  if (data.answer) said.append(el("span", { class: "to" }, "→"), data.answer);
  const model = data.model ? `${data.model} · ` : "";
  const here = (view) => (state[view] !== undefined || (view === "all" && nobody) ? "page" : null);
  const looks = data.steps.some(attends);
  const nobody = !["step", "parameter", "attention", "token", "writing"].some((view) => state[view] !== undefined);
  document.getElementById("top").replaceChildren(
    said,
    el("span", { class: "about" }, `${model}${data.steps.length} steps`),
    el(
      "div",
      { class: "tools" },
      el("a", { class: "tool", href: "#view=all", "aria-current": here("all") }, "Overview"),
      el("button", { class: "tool menu", type: "button", onclick: () => document.body.classList.toggle("listed"), "aria-controls": "map" }, "Steps"),
      looks ? el("a", { class: "tool", href: hash({ attention: "" }), "aria-current": here("attention") }, "Attention") : null,
      Object.keys(data.tokens).length ? el("a", { class: "tool", href: tokenLink(Object.keys(data.tokens).pop(), 0), "aria-current": here("token") }, "Tokens") : null,
      data.writing ? el("a", { class: "tool", href: hash({ writing: "" }), "aria-current": here("writing") }, "Writing") : null,
      el("button", { class: "tool", type: "button", onclick: turnLight }, "Light / dark"),
    ),
  );
}

function turnLight() {
  document.documentElement.classList.toggle("dark");
  readTones();
  render();
}

function drawMap() {
  const box = el("input", { type: "search", placeholder: "find a step", "aria-label": "Find a step" });
  const lists = el("div");
  box.addEventListener("keydown", (event) => {
    const first = lists.querySelector("a");
    if (event.key === "Enter" && first) location.hash = first.hash;
    if (event.key === "Escape") box.blur();
  });
  box.addEventListener("input", () => fillMap(lists, box.value.trim().toLowerCase()));
  document.getElementById("map").replaceChildren(box, lists);
  fillMap(lists, "");
}

function fillMap(lists, wanted) {
  const shown = [];
  for (const chapter of data.chapters) {
    const found = chapter.steps.filter((name) => name.toLowerCase().includes(wanted));
    if (!found.length) continue;
    const items = found.map((name) =>
      el(
        "li",
        {},
        el("a", { href: stepLink(name), "data-step": name, title: name }, symbolOf(formula(steps.get(name)).symbol || "·"), el("span", {}, last(name) === "output" ? name.split(".").slice(-2).join(".") : last(name))),
      ),
    );
    const open = wanted !== "" || !chapter.layer;
    shown.push(el("details", { open }, el("summary", {}, chapter.title.replace(": each word ", ": ")), el("ol", {}, items)));
  }
  lists.replaceChildren(...(shown.length ? shown : [el("p", { class: "note" }, "No step has this in its name.")]));
  markMap();
}

function markMap() {
  const now = read().step;
  for (const link of document.querySelectorAll("#map a[data-step]")) {
    const here = link.dataset.step === now;
    if (here) {
      link.setAttribute("aria-current", "true");
      link.closest("details").open = true;
      link.scrollIntoView({ block: "nearest" });
    } else link.removeAttribute("aria-current");
  }
}

// ---------------------------------------------------------------- overview

function sentence(side, title) {
  const tokens = data.tokens[side];
  if (!tokens) return null;
  return el("div", {}, el("h3", {}, title), el("div", { class: "sentence" }, tokens[0].map((token, place) => el("a", { href: tokenLink(side, place), title: "what it becomes, layer by layer" }, token))));
}

function drawOverview(main) {
  const pair = data.tokens.encoder && data.tokens.decoder;
  put(main, 
    el("h2", {}, "Every number, in the order it is made"),
    el("p", { class: "idea" }, "Each small picture is one step. Choose one to read its numbers, its formula and what it is made of."),
    el("div", { class: "columns" }, sentence("encoder", pair ? "The encoder reads" : "The tokens"), sentence("decoder", pair ? "The decoder has written" : "The tokens")),
  );
  const columns = el("div", { class: pair ? "columns" : "" });
  for (const [side, title] of [["encoder", "Encoder"], ["decoder", "Decoder"], ["head", "Head"], ["search", "Search"], ["loss", "Loss"]]) {
    const chapters = data.chapters.filter((chapter) => chapter.side === side);
    if (!chapters.length) continue;
    const rows = el("div", { class: pair ? "rows stacked" : "rows" });
    for (const chapter of chapters) {
      const thumbs = chapter.steps.map((name) => thumb(steps.get(name), 0, 0, captionOf(steps.get(name)), null, { widest: pair ? NARROW : WIDE }));
      rows.append(el("div", { class: "title" }, chapter.title.replace(/^\w+, (layer \d+): /, "$1: ")), el("div", { class: "strip" }, thumbs));
    }
    columns.append(el("section", {}, el("h3", {}, title), rows));
  }
  put(main, columns, answer(), legend(), el("p", { class: "note" }, `${data.verified}. ${digitsKept()}`), keys());
}

// How many digits the page keeps, said once for all steps.
function digitsKept() {
  const rounded = data.steps.filter((step) => step.numbers.kind === "u").length;
  const partly = data.steps.filter((step) => step.kept.some((kept) => kept !== null)).length;
  const digits = rounded ? `${rounded} of the ${data.steps.length} steps are rounded to keep this page small, each to the unit told with its numbers; the others have every digit.` : "Every number here has every digit that the model computed.";
  return partly ? `${digits} Of ${partly} steps only a part is here; each says which.` : digits;
}

function legend() {
  const ramp = (from, to) => `background:linear-gradient(90deg, ${from}, ${to})`;
  const rgba = (name, strength) => `rgba(${tones[name].join(",")},${strength})`;
  return el(
    "div",
    { class: "key" },
    "−",
    el("i", { style: `background:linear-gradient(90deg, ${rgba("minus", 0.85)}, transparent, ${rgba("plus", 0.85)})` }),
    "+",
    el("i", { style: ramp("transparent", rgba("share", 0.85)) + ";margin-left:1.5rem" }),
    "0 to 1",
  );
}

function keys() {
  const key = (name) => el("kbd", {}, name);
  return el("p", { class: "keys" }, key("n"), " next step  ", key("p"), " step before  ", key("["), " ", key("]"), " heads  ", key("↑ ↓ ← →"), " numbers  ", key("/"), " find  ", key("o"), " overview  ", key("a"), " attention  ", key("t"), " tokens");
}

function drawParameter(main, state) {
  const parameter = data.parameters[state.parameter];
  put(main, el("h2", {}, state.parameter));
  if (!parameter || !parameter.numbers) {
    put(main, el("p", { class: "note" }, "Its numbers are not in this page."));
    return;
  }
  const shape = parameter.shape.length > 1 ? parameter.shape : [1, ...parameter.shape];
  const matrix = { symbol: "", shape, rows: null, columns: null, kind: parameter.numbers.kind };
  const found = users.get(state.parameter) || [];
  put(main, 
    el("p", { class: "lead" }, `a parameter, learned in training · ${parameter.shape.join(" × ")}, as it is stored (a linear map's weight: out × in)`),
    el("div", { class: "links" }, el("span", { class: "what" }, "used by"), found.map(chip)),
    el("div", { class: "board" }, smallMatrix(matrix, (r, c) => numbers(parameter.numbers)[r * shape[1] + c])),
  );
}

// ---------------------------------------------------------------- state

function read() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1) || document.getElementById("trace").dataset.start));
}

function render() {
  const state = read();
  const main = document.getElementById("main");
  const same = (state.step || state.attention) && (state.step || state.attention) === render.at;
  const top = main.scrollTop;
  main.replaceChildren();
  drawTop(state);
  if (state.step) drawStep(main, state);
  else if (state.parameter) drawParameter(main, state);
  else if (state.attention !== undefined) drawAttention(main, state);
  else if (state.token !== undefined) drawToken(main, state);
  else if (state.writing !== undefined && data.writing) drawWriting(main);
  else drawOverview(main);
  markMap();
  document.body.classList.remove("listed");
  main.scrollTop = same ? top : 0;
  render.at = state.step || state.attention;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const state = read();
  const at = order.indexOf(state.step);
  const head = Number(state.head) || 0;
  const step = steps.get(state.step || state.attention);
  const moves = {
    n: () => order[at + 1] && stepLink(order[at + 1]),
    p: () => order[at - 1] && stepLink(order[at - 1]),
    o: () => "#view=all",
    a: () => data.steps.some(attends) && hash({ attention: "" }),
    t: () => Object.keys(data.tokens).length && tokenLink(Object.keys(data.tokens).pop(), 0),
    "]": () => step && heads(step) > head + 1 && hash({ ...state, head: head + 1 }),
    "[": () => step && head > 0 && hash({ ...state, head: head - 1 }),
  };
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector("#map input").focus();
    return;
  }
  const target = moves[event.key] && moves[event.key]();
  if (target) location.hash = target;
}

// A page inside a notebook's frame has no address of its own, so its links are followed here.
const FRAMED = location.protocol === "about:";

function follow(event) {
  const link = event.target.closest('a[href^="#"]');
  if (!link) return;
  event.preventDefault();
  location.hash = link.getAttribute("href");
}

async function open() {
  if (!window.DecompressionStream) {
    document.getElementById("main").append(el("p", { class: "note" }, "This page unpacks its numbers as browsers do since 2023; open it in a newer one."));
    return;
  }
  await unpack();
  if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
  readTones();
  drawMap();
  render();
  addEventListener("hashchange", render);
  document.addEventListener("keydown", onKey);
  if (FRAMED) document.addEventListener("click", follow);
  document.documentElement.dataset.ready = "yes";
}

open();
