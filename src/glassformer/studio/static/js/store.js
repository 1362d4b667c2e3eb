// What is looked at, kept in the address: it can be sent to someone, and "back" goes back.

const watchers = [];

/** The state that the address says. */
export function state() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

/** A whole number that the address says, from 0 on; what is none is 0. */
export function place(key) {
  const found = Number(state()[key]);
  return Number.isSafeInteger(found) && found > 0 ? found : 0;
}

/** The address of this state with some of it changed; null takes a part away. */
export function address(changes) {
  const next = { ...state(), ...changes };
  for (const [key, value] of Object.entries(next)) if (value === null || value === undefined) delete next[key];
  return `#${new URLSearchParams(next)}`;
}

// What is no number goes as it is, and comes back as a sentence.
const asNumber = (text) => (/^\d+$/.test(text) ? Number(text) : text);

/** What the server is asked for by a state: a text of a model, and how it is gone on with. */
export function wish(now) {
  const options = {};
  if (now.new) options.max_new_tokens = asNumber(now.new);
  if (now.seed) options.seed = asNumber(now.seed);
  return { model: now.model, text: now.text, context: now.context || null, task: now.task || null, options };
}

/** Go there. */
export function go(changes) {
  location.hash = address(changes);
}

/** Be told of every change, and of the state at the beginning. */
export function watch(seen) {
  watchers.push(seen);
}

export function begin() {
  const tell = () => watchers.forEach((seen) => seen(state()));
  addEventListener("hashchange", tell);
  tell();
}
