// The frame: choose a model, give it a text, look at the run in one of the views.

import { ask, file, Refused, stream } from "./api.js";
import { showAnswer, showTokens } from "./answer.js";
import { el } from "./dom.js";
import { address, begin, go, state, watch } from "./store.js";
import { forgetTones } from "./tensor.js";
import { edits, listed } from "./touch.js";
import { train } from "./train.js";
import { turn, VIEWS } from "./views.js";

const $ = (id) => document.getElementById(id);
let run = null; // the run that is looked at
let plain = null; // the same run before anything was changed
let asked = ""; // what it was asked, as one text
let drawing = 0;
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

const key = (now, changed = now.edits) => JSON.stringify([now.model, now.text, now.context, now.task, changed]);
const known = (made) => {
  const found = { ...made, byName: new Map(made.steps.map((step) => [step.name, step])), users: new Map() };
  for (const step of found.steps) for (const name of step.inputs) found.users.set(name, [...(found.users.get(name) || []), step.name]);
  return found;
};

async function follow(now) {
  $("training").setAttribute("aria-current", now.train === undefined ? "false" : "page");
  if (now.train !== undefined) {
    $("answer").replaceChildren();
    $("views").replaceChildren();
    const page = await train(saying);
    $("main").replaceChildren(page);
    asked = "";
    return;
  }
  if (!now.model || now.text === undefined) return welcome();
  if (key(now) !== asked) await make(now);
  if (run) await drawView(now);
}

async function make(now) {
  const body = { model: now.model, text: now.text, context: now.context || null, task: now.task || null };
  const changes = edits(now);
  fillForm(now);
  saying(`${now.model} reads …`);
  asked = key(now);
  const mine = asked;
  if (!plain || plain.key !== key(now, null)) {
    const opened = await ask(`api/models/${now.model}${now.task ? `?task=${now.task}` : ""}`);
    if (["translation", "summarization", "generation"].includes(opened.task)) {
      const strip = showTokens($("answer"));
      for await (const token of stream(body)) if (mine === asked) strip.add(token);
    }
    const made = await ask("api/runs", body);
    if (mine !== asked) return;
    plain = { ...known(made), key: key(now, null) };
  }
  run = plain;
  if (changes.length) {
    const made = await ask("api/runs", { ...body, edits: changes });
    if (mine !== asked) return;
    run = { ...known(made), before: plain };
  }
  saying("");
  showAnswer($("answer"), run);
  document.title = `${run.answer.said} · glassformer studio`;
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
    el(
      "span",
      { class: "take" },
      "Take: ",
      takes.map(({ kind, title }) => el("button", { class: "chip", type: "button", onclick: () => trying(() => take(kind)) }, title)),
    ),
  );
  const drawn = await VIEWS[name][1](run);
  if (mine === drawing) $("main").replaceChildren(...[listed(), drawn].filter(Boolean));
}

async function take(kind) {
  saying("it is written …");
  const { name, content } = await file(`api/runs/${run.run}/take/${kind}`);
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
  const models = await ask("api/models");
  $("main").replaceChildren(
    el("p", { class: "opening" }, "Choose a model and give it a text. Every number on the way to its answer can then be looked at."),
    el(
      "ul",
      { class: "shelf" },
      models.map(({ name, says }) => el("li", {}, el("a", { href: address({ model: name, text: "I love data science", ...EXAMPLES[name] }) }, name), ` ${says}`)),
    ),
  );
}

const EXAMPLES = {
  answers: { text: "Where was Marie Curie born?", context: "Marie Curie was born in Warsaw in 1867. She moved to Paris in 1891." },
  entities: { text: "Angela Merkel lives in Berlin." },
  sentiment: { text: "What a waste of an evening." },
  shakespeare: { text: "ROMEO:" },
  "tatoeba-en-fr": { text: "Where is the station?" },
};

function fillForm(now) {
  $("model").value = now.model || "";
  $("text").value = now.text || "";
  $("context").value = now.context || "";
  $("beside").hidden = !now.context && now.model !== "answers";
}

async function start() {
  const models = await ask("api/models");
  takes = await ask("api/takes");
  $("models").append(...models.map(({ name, says }) => el("option", { value: name }, says)));
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const [model, text, context] = ["model", "text", "context"].map((name) => $(name).value);
    [asked, plain] = ["", null]; // the same text may be run again
    const before = location.hash;
    go({ model, text, context: context || null, at: null, step: null, head: null, row: null, column: null, edits: null, train: null });
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

trying(start);
