// What is looked at, kept in the address: it can be sent to someone, and "back" goes back.

const watchers = [];

/** The state that the address says. */
export function state() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

/** The address of this state with some of it changed; null takes a part away. */
export function address(changes) {
  const next = { ...state(), ...changes };
  for (const [key, value] of Object.entries(next)) if (value === null || value === undefined) delete next[key];
  return `#${new URLSearchParams(next)}`;
}

/** What the server is asked for by a state: a text of a model, and how it is gone on with. */
export function wish(now) {
  const options = {};
  if (now.new) options.max_new_tokens = Number(now.new);
  if (now.seed) options.seed = Number(now.seed);
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
