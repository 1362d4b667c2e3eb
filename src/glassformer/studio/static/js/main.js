// The frame: choose a model, give it a text, look at the run in one of the views.

import { ask, file, Refused, stream } from "./api.js";
import { showAnswer, showTokens } from "./answer.js";
import { el } from "./dom.js";
import { address, begin, go, state, watch, wish } from "./store.js";
import { forgetTones } from "./tensor.js";
import { edits, listed } from "./touch.js";
import { train } from "./train.js";
import { VIEWS } from "./views.js";
import { turn } from "./walk.js";

const $ = (id) => document.getElementById(id);
let run = null; // the run that is looked at
let plain = null; // the same run before anything was changed
let asked = ""; // what it was asked, as one text
let drawing = 0;
let shelf = null; // the list of models, while it is on its way
let takes = []; // the kinds of files in which a run can be taken home

const saying = (sentence, refused = false) => {
  $("said").textContent = sentence;
  $("said").classList.toggle("refused", refused);
};

/** Do something that may be refused; what is on the screen stays. */
async function trying(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    saying(error.message, true);
  }
}

const key = (now, changed = now.edits) =>
  JSON.stringify([now.model, now.text, now.context, now.task, now.new, now.seed, now.target, now.rate, changed]);
const known = (made) => {
  const found = { ...made, byName: new Map(made.steps.map((step) => [step.name, step])), users: new Map() };
  for (const step of found.steps) for (const name of step.inputs) found.users.set(name, [...(found.users.get(name) || []), step.name]);
  return found;
};

async function follow(now) {
  $("training").setAttribute("aria-current", now.train === undefined ? "false" : "page");
  if (now.train !== undefined) {
    show(await train(saying));
    return;
  }
  if (!now.model || now.text === undefined) {
    show(await welcome());
    return;
  }
  const fresh = key(now) !== asked;
  try {
    if (fresh) await make(now);
    if (run) await drawView(state());
  } finally {
    if (fresh && ["", key(now)].includes(asked)) $("main").removeAttribute("aria-busy");
  }
}

// A page that is no run's.
function show(page) {
  asked = "";
  $("main").removeAttribute("aria-busy");
  for (const place of ["answer", "views"]) $(place).replaceChildren();
  $("main").replaceChildren(...page);
}

async function make(now) {
  fillForm(now);
  saying(`${now.model} reads …`);
  asked = key(now);
  $("main").setAttribute("aria-busy", "true");
  try {
    if (await made(now, asked)) {
      saying("");
      showAnswer($("answer"), run);
      document.title = `${run.wanted || run.answer.said} · glassformer studio`;
    }
  } catch (error) {
    if (asked === key(now)) asked = ""; // what failed may be asked again
    throw error;
  }
}

// Make the run, and what it was before anything was changed; false: something else was asked for meanwhile.
async function made(now, mine) {
  const body = wish(now);
  const changes = edits(now);
  if (now.target !== undefined) {
    const learnt = await ask("api/runs", { ...body, target: now.target, learning_rate: now.rate ? Number(now.rate) : null, edits: changes });
    if (mine === asked) [run, plain] = [known(learnt), null];
    return mine === asked;
  }
  if (!plain || plain.key !== key(now, null)) {
    const whole = await written(body, mine);
    if (mine !== asked) return false;
    plain = { ...known(whole), key: key(now, null) };
  }
  run = plain;
  if (!changes.length) return true;
  const changed = await ask("api/runs", { ...body, edits: changes });
  if (mine === asked) run = { ...known(changed), before: plain };
  return mine === asked;
}

// The run of a text. Of one that is written, the run of its first token is shown at once, and the words as they come.
async function written(body, mine) {
  const first = await ask("api/runs", { ...body, first: true });
  if (!first.partial || mine !== asked) return first;
  run = known(first);
  $("answer").replaceChildren();
  offer(run);
  await drawView(state());
  const strip = showTokens($("answer"));
  for await (const token of stream(body)) {
    if (mine !== asked) return first;
    strip.add(token);
  }
  return ask("api/runs", body);
}

async function drawView(now) {
  const mine = ++drawing;
  const views = Object.entries(VIEWS).filter(([, [, , fits]]) => fits(run));
  const name = views.some(([each]) => each === now.view) ? now.view : "walk";
  $("views").replaceChildren(
    ...views.map(([each, [title]]) =>
      el("a", { class: "tool", href: address({ view: each, head: null, row: null, column: null }), "aria-current": each === name ? "page" : null }, title),
    ),
    el("button", { class: "tool", type: "button", onclick: () => trying(verify) }, "Does it add up?"),
    el("details", { class: "take" }, el("summary", { class: "tool" }, "Take"), el("span", { id: "takes" })),
  );
  showTakes();
  offer(run);
  $("views").setAttribute("aria-busy", "true");
  const drawn = await VIEWS[name][1](run).finally(() => mine === drawing && $("views").removeAttribute("aria-busy"));
  if (mine !== drawing) return;
  if (drawn.parentElement !== $("main")) $("main").replaceChildren(drawn); // a view may only have changed a part of itself
  for (const old of $("main").querySelectorAll(":scope > .edits")) old.remove();
  $("main").prepend(...[listed()].filter(Boolean));
}

function showTakes() {
  const place = $("takes");
  if (place) place.replaceChildren(...takes.map(({ kind, title }) => el("button", { class: "chip", type: "button", onclick: () => trying(() => take(kind)) }, title)));
}

async function take(kind) {
  saying("it is written …");
  const step = $("main").querySelector("[data-step]")?.dataset.step;
  const shown = new URLSearchParams({ ...(step && run.byName.has(step) ? { step } : {}), ...(state().head ? { head: state().head } : {}) });
  const { name, content } = await file(`api/runs/${run.run}/take/${kind}?${shown}`);
  const link = el("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  saying(`${name} is in your downloads`);
}

async function verify() {
  saying("every step is computed again …");
  saying((await ask(`api/runs/${run.run}/verified`)).said);
}

async function welcome() {
  const models = await (shelf ||= ask("api/models"));
  shelf = null; // next time there may be more
  const near = (name) => () => ask(`api/models/${name}`).catch(() => {}); // it is open by the time it is chosen
  return [
    el("p", { class: "opening" }, "Choose a model and give it a text. Every number on the way to its answer can then be looked at."),
    el(
      "p",
      { class: "doors" },
      el("a", { class: "door", href: address({ model: "worked-example", text: "I love data science", view: "walk" }) }, el("b", {}, "Walk through a transformer"), "a translator of two dimensions, a step a screen, from words to words"),
      el("a", { class: "door", href: address({ train: "worked-example" }) }, el("b", {}, "Watch it learn"), "the same translator from random numbers, one step at a time if you like"),
    ),
    el("h2", {}, "Models that are here"),
    el(
      "ul",
      { class: "shelf" },
      models.map(({ name, says }) =>
        el("li", {}, el("a", { href: address({ model: name, text: "I love data science", ...EXAMPLES[name] }), onpointerenter: near(name), onfocus: near(name) }, name), ` ${says}`),
      ),
    ),
    el("p", { class: "note" }, "A folder with a checkpoint, or a model's name on the hub, can be typed into the field above."),
  ];
}

const EXAMPLES = {
  answers: { text: "Where was Marie Curie born?", context: "Marie Curie was born in Warsaw in 1867. She moved to Paris in 1891." },
  entities: { text: "Angela Merkel lives in Berlin." },
  sentiment: { text: "What a waste of an evening." },
  shakespeare: { text: "ROMEO:" },
  summaries: { text: "Tidyfolder is a command line program that sorts files by type." },
  "tatoeba-en-fr": { text: "Where is the station?" },
};

function fillForm(now) {
  $("model").value = now.model || "";
  $("text").value = now.text || "";
  $("context").value = now.context || "";
  $("new").value = now.new || 16;
  $("seed").value = now.seed || 0;
  $("beside").hidden = !now.context && now.model !== "answers";
}

// What can be said beside the text depends on the task.
function offer(run) {
  $("writing").hidden = run.model.task !== "generation";
  $("doing").hidden = run.model.tasks.length < 2;
  $("task").replaceChildren(...run.model.tasks.map((task) => el("option", { selected: task === run.model.task }, task)));
  if (run.model.task === "answering") $("beside").hidden = false;
}

// The form as a state: a new text begins with nothing changed and nothing wanted.
function askedFor() {
  const [model, text, context] = ["model", "text", "context"].map((name) => $(name).value);
  const writes = !$("writing").hidden;
  const kept = { new: writes && $("new").value !== "16" ? $("new").value : null, seed: writes && $("seed").value !== "0" ? $("seed").value : null };
  const forgotten = ["at", "step", "head", "row", "column", "edits", "train", "target", "rate"];
  const same = run && run.model.name === model && $("task").value;
  const task = same && $("task").value !== run.model.tasks[0] ? $("task").value : null;
  return { model, text, task, context: context || null, ...kept, ...Object.fromEntries(forgotten.map((each) => [each, null])) };
}

function start() {
  shelf = ask("api/models");
  trying(async () => $("models").append(...(await shelf).map(({ name, says }) => el("option", { value: name }, says))));
  trying(async () => {
    takes = await ask("api/takes");
    showTakes();
  });
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    [asked, plain] = ["", null]; // the same text may be run again
    const before = location.hash;
    go(askedFor());
    if (location.hash === before) trying(() => follow(state()));
  });
  $("model").addEventListener("change", () => ($("beside").hidden = $("model").value !== "answers"));
  $("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      $("ask").requestSubmit();
    }
  });
  $("light").addEventListener("click", () => {
    document.documentElement.classList.toggle("dark");
    forgetTones();
    trying(() => follow(state()));
  });
  if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
  document.addEventListener("keydown", turn);
  watch((now) => trying(() => follow(now)));
  begin();
}

start();
