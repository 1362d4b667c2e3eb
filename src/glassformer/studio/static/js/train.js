// Training from the page: a recipe, a file, and what the model makes of one sentence while it learns.

import { ask, events, Refused, send } from "./api.js";
import { el, short } from "./dom.js";
import { lesson } from "./lesson.js";
import { address, go, state } from "./store.js";
import { bitmap } from "./tensor.js";

const NS = "http://www.w3.org/2000/svg";
let following = null; // what stops listening to the run that was shown before

/** The page on which a training is started or followed. */
export async function train(say) {
  const { train: which } = state();
  if (following) following.abort();
  if (which === "worked-example") return lesson((work) => tried(work, say), send);
  return [await (Number(which) ? followed(Number(which), say) : form(say))];
}

// ---------------------------------------------------------------- starting one

async function form(say) {
  const [recipes, others] = await Promise.all(["api/recipes", "api/trainings"].map((path) => ask(path)));
  const recipe = el("textarea", { rows: 22, spellcheck: "false", "aria-label": "Recipe" });
  const kind = el(
    "select",
    { "aria-label": "Task", onchange: () => (recipe.value = recipes[kind.value]) },
    Object.keys(recipes).map((name) => el("option", {}, name)),
  );
  recipe.value = recipes[kind.value];
  const file = el("input", { type: "file" });
  const folder = el("input", { type: "text", placeholder: "a path on this machine", "aria-label": "Folder" });
  const probe = el("input", { type: "text", placeholder: "answered after every few steps while it learns", "aria-label": "Sentence to look at" });
  const begin = async () => {
    const data = folder.value ? [folder.value] : [];
    if (file.files[0]) data.push(`train=${await send(file.files[0])}`);
    if (!data.length) throw new Refused("there is nothing to learn from; choose a file or name a folder");
    const started = await ask("api/trainings", { recipe: recipe.value, data, probe: probe.value || null });
    go({ train: started.training });
  };
  return el(
    "section",
    { class: "train" },
    el("h2", {}, "Train a model"),
    others.length
      ? el("div", { class: "links" }, el("span", { class: "what" }, "begun before"), others.map((each) => el("a", { class: "chip", href: address({ train: each.training }) }, `training ${each.training}: ${each.task}, ${each.state}`)))
      : null,
    el("p", {}, el("a", { href: address({ train: "worked-example" }) }, "Watch the worked example learn"), ", one step at a time, or train a model of your own:"),
    el("p", { class: "opening" }, "Choose what is to be learnt and a file of examples. The recipe says everything else, and every line of it may be changed."),
    el(
      "div",
      { class: "fields" },
      el("label", {}, el("span", {}, "What is learnt"), kind),
      el("label", {}, el("span", {}, "Examples"), file),
      el("label", {}, el("span", {}, "or a folder"), folder),
      el("label", {}, el("span", {}, "A sentence to watch"), probe),
    ),
    el("h3", {}, "the recipe"),
    recipe,
    el("p", {}, el("button", { class: "go", type: "button", onclick: () => tried(begin, say) }, "Train")),
  );
}

async function tried(work, say) {
  try {
    say("");
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.message, true);
  }
}

// ---------------------------------------------------------------- following one

async function followed(number, say) {
  const described = await ask(`api/trainings/${number}`);
  const standing = el("p", { class: "lead", "aria-live": "polite" });
  const buttons = el("p", { class: "buttons" });
  const figures = el("dl", { class: "figures" });
  const chart = el("div", { class: "chart" });
  const samples = el("ol", { class: "samples" });
  const slider = el("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Moment of the training" });
  const probe = el("div", { class: "grids" });
  const seen = { records: [], probes: [], latest: new Map() };

  const button = (title, work) => el("button", { class: "tool", type: "button", onclick: () => tried(work, say) }, title);
  const wanted = (what, title) => button(title, async () => stand(await ask(`api/trainings/${number}/${what}`, {})));
  const into = (title, more) =>
    button(title, async () => {
      const model = await ask(`api/trainings/${number}/moment`, {});
      go({ train: null, model: model.name, text: described.probe || "I love data science", ...more });
    });
  const look = () => [into("look into it as it stands", { view: "walk" }), described.target ? into("look at its next step", { view: "learn", target: described.target }) : ""];
  const stand = (now) => {
    standing.textContent = `${now.task}, ${now.state}${now.refusal ? `: ${now.refusal}` : ""}`;
    const sizes = Object.entries(now.sizes).filter(([, size]) => size).map(([name, size]) => `${size.toLocaleString("en")} ${name}`);
    if (sizes.length) standing.append(el("br"), sizes.join(", "));
    buttons.replaceChildren(
      ...(now.state === "running" || now.state === "preparing" ? [wanted("hold", "hold"), wanted("stop", "stop")] : []),
      ...(now.state === "held" ? [wanted("step", "one step"), wanted("run", "go on"), wanted("stop", "stop"), ...look()] : []),
      ...(now.state === "stopped" ? [wanted("run", "go on from the last checkpoint")] : []),
      ...(now.model ? [el("a", { class: "tool", href: address({ train: null, model: now.model, text: now.probe || "I love data science", view: "walk" }) }, "look into it")] : []),
      el("a", { class: "tool", href: address({ train: 0 }) }, "another training"),
    );
  };
  const showProbe = () => {
    const one = seen.probes[Number(slider.value)];
    if (one) probe.replaceChildren(...probed(one));
  };
  slider.addEventListener("input", showProbe);
  stand(described);

  // Records come faster than a screen is drawn anew: it is drawn once for all that came meanwhile.
  let drawing = 0;
  const draw = () => {
    cancelAnimationFrame(drawing);
    drawing = 0;
    figures.replaceChildren(...told(seen.latest));
    chart.replaceChildren(curves(seen.records));
    showProbe();
  };
  const take = async (event) => {
    if (event.kind === "state") {
      draw();
      stand(await ask(`api/trainings/${number}`));
    }
    if (event.kind === "waiting" || event.kind === "state") return;
    seen.records.push(event);
    note(seen.latest, event);
    drawing ||= requestAnimationFrame(draw);
    if (event.probe && event.probe.weights) {
      const last = Number(slider.value) === seen.probes.length - 1 || !seen.probes.length;
      seen.probes.push(event);
      slider.max = seen.probes.length - 1;
      if (last) slider.value = slider.max;
      const line = `step ${event.step}: ${event.probe.said}`;
      const before = samples.firstElementChild;
      if (!before || before.dataset.said !== event.probe.said) samples.prepend(el("li", { "data-said": event.probe.said }, line));
    }
    if (event.kind === "checkpoint") stand(await ask(`api/trainings/${number}`));
  };
  following = new AbortController();
  listen(number, following.signal, take).catch((error) => {
    if (error.name !== "AbortError") say(error.message, true);
  });
  return el(
    "section",
    { class: "train" },
    el("h2", {}, `Training ${number}`),
    standing,
    buttons,
    figures,
    chart,
    described.probe
      ? [el("h3", {}, `“${described.probe}” while it learns`), samples, el("p", { class: "note" }, "Move through the training to see how every head looks at it: ", slider), probe]
      : null,
  );
}

async function listen(number, signal, take) {
  for await (const event of events(`api/trainings/${number}/events`, { signal })) await take(event);
}

// The latest of every figure, for a record has only some.
function note(latest, record) {
  latest.set("step", String(record.step));
  for (const name of ["loss", "learning_rate", "gradient_norm"]) {
    if (record[name] !== undefined) latest.set(name.replace("_", " "), short(record[name]));
  }
  const side = record.kind === "test" ? "test" : "dev";
  for (const [name, value] of Object.entries(record.metrics || {})) latest.set(`${side} ${name.replace("_", " ")}`, short(value));
}

function told(latest) {
  return [...latest].map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
}

// Training and dev loss against steps. Where a point stands is drawn from its value; no value is made here.
function curves(records) {
  const [wide, high, edge] = [760, 220, 34];
  const trained = records.filter((each) => each.kind === "train").map((each) => [each.step, each.loss]);
  const measured = records.filter((each) => each.metrics && each.metrics.loss !== undefined).map((each) => [each.step, each.metrics.loss]);
  const points = [...trained, ...measured];
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "training loss in a line, dev loss as points");
  if (!points.length) return svg;
  const [steps, values] = [points.map((each) => each[0]), points.map((each) => each[1])];
  const [last, low, top] = [Math.max(...steps, 1), Math.min(...values, 0), Math.max(...values)];
  const x = (step) => edge + (step / last) * (wide - edge - 10);
  const y = (value) => high - 24 - ((value - low) / (top - low || 1)) * (high - 40);
  const add = (tag, attributes, content) => {
    const node = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (content) node.textContent = content;
    svg.append(node);
  };
  add("line", { x1: edge, x2: wide - 10, y1: y(low), y2: y(low), class: "axis" });
  add("text", { x: 2, y: y(top) + 4 }, short(top));
  add("text", { x: 2, y: y(low) + 4 }, short(low));
  add("text", { x: wide - 10, y: high - 6, "text-anchor": "end" }, `step ${last}`);
  add("polyline", { class: "learnt", points: trained.map(([step, value]) => `${x(step)},${y(value)}`).join(" ") });
  for (const [step, value] of measured) add("circle", { class: "measured", cx: x(step), cy: y(value), r: 3.5 });
  return svg;
}

function probed(event) {
  const rows = [el("p", { class: "lead" }, `step ${event.step}: ${event.probe.said}`)];
  for (const [name, headsOf] of Object.entries(event.probe.weights)) {
    const thumbs = headsOf.map((head, number) => {
      const view = { rows: head.length, columns: head[0].length, value: (r, c) => head[r][c], peak: 1, share: true, hidden: -1 };
      const picture = bitmap(view);
      picture.classList.add("thumb");
      picture.title = `${name}, head ${number}`;
      return picture;
    });
    const parts = name.split(".");
    rows.push(el("div", { class: "row" }, el("span", { class: "what" }, `${parts[0]} ${parts[2]} ${parts[3].replace("_attention", "")}`), thumbs));
  }
  return rows;
}
