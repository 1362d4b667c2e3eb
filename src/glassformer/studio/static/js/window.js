// What step and parameter have in common: the window onto a matrix that is too large to be fetched whole, and links.

import { el } from "./dom.js";
import { address } from "./store.js";

export const ROWS = 1024; // rows and columns of a matrix that are shown at once
export const COLUMNS = 1024;

/** Steps and parameters by name, each a link to it. */
export function links(run, title, names) {
  if (!names.length) return null;
  const to = (name) => address({ view: "map", step: name, row: null, column: null, word: null });
  const chips = names.map((name) =>
    run.byName.has(name) ? el("a", { class: "chip", href: to(name) }, name) : el("a", { class: "chip plain", href: to(name) }, `${name} ${run.parameters[name].join(" × ")}`),
  );
  return el("div", { class: "links" }, el("span", { class: "what" }, title), chips);
}

/** Before and after, along each axis that is longer than the window. */
export function pager(shape, at, first) {
  const parts = [];
  for (const [axis, most, key, what] of [
    [at.rows, ROWS, "row", "rows"],
    [at.columns, COLUMNS, "column", "columns"],
  ]) {
    if (axis === null || shape[axis] <= most) continue;
    const from = first[key];
    const to = Math.min(from + most, shape[axis]);
    parts.push(
      el(
        "span",
        { class: "pager" },
        `${what} ${from} to ${to - 1} of ${shape[axis]} `,
        from > 0 ? el("a", { class: "tool", href: address({ [key]: Math.max(0, from - most) }) }, "before") : null,
        to < shape[axis] ? el("a", { class: "tool", href: address({ [key]: to }) }, "after") : null,
      ),
    );
  }
  return parts;
}
