"use strict";
// One step: its formula, what it is made of, its numbers.

function drawStep(main, state) {
  const step = steps.get(state.step);
  if (!step) {
    put(main, el("h2", {}, "No such step"), el("p", { class: "note" }, `This trace has no step ${state.step}; choose one on the left.`));
    return;
  }
  const head = Math.min(Number(state.head) || 0, heads(step) - 1);
  const text = Math.min(Number(state.text) || 0, texts(step) - 1);
  const view = tile(step, head, text);
  const says = formula(step).says;
  put(main, el("h2", {}, step.name), el("p", { class: "lead" }, axesInWords(step)));
  put(main, math(step, { title: formula(step).text, "aria-label": formula(step).text }));
  if (says) put(main, el("p", { class: "idea" }, says));
  if (step.edited) put(main, el("p", { class: "note" }, "This value was replaced by an edit; its formula did not make it."));
  put(main, sources(step), usedBy(step));
  if (texts(step) > 1) put(main, choice(step, state, "text", texts(step), text));
  if (attends(step)) put(main, el("div", { class: "links" }, el("span", { class: "what" }, "also as"), el("a", { class: "tool", href: hash({ attention: step.name, head, text }) }, "lines between the words")));
  if (heads(step) > 1) put(main, headStrip(step, state, head, text));
  if (step.equation) put(main, el("h3", {}, "On the board"), board(step, view));
  put(main, el("h3", {}, heads(step) > 1 ? `Numbers of head ${head}` : "Numbers"), leftOut(step));
  if (step.ranks) main.insertBefore(el("section", {}, el("h3", {}, "Likeliest"), ranking(step, text)), main.querySelector("h3"));
  const readout = el("div", { class: "readout", "aria-live": "polite" });
  const grid = view.columns <= WHOLE && view.rows <= LONG ? table(view, head, readout, state) : heat(view, head, readout, state);
  put(main, grid, readout, legend(), walkOn(step), keys());
}

function axesInWords(step) {
  return axesOf(step).map((letter, axis) => `${data.axes[letter]} ${step.shape[axis]}`).join(" · ") || "one number";
}

function chip(name) {
  if (steps.has(name)) return el("a", { class: "chip", href: stepLink(name) }, name);
  const parameter = data.parameters[name];
  if (parameter && parameter.numbers) return el("a", { class: "chip", href: hash({ parameter: name }) }, name);
  return el("span", { class: "chip plain", title: "its numbers are not in this page" }, `${name}${parameter ? ` ${parameter.shape.join(" × ")}` : ""}`);
}

function sources(step) {
  if (!step.inputs.length) return el("div", { class: "links" }, el("span", { class: "what" }, "made of"), "nothing: it is given");
  return el("div", { class: "links" }, el("span", { class: "what" }, "made of"), step.inputs.map(chip));
}

function usedBy(step) {
  const found = users.get(step.name) || [];
  return found.length ? el("div", { class: "links" }, el("span", { class: "what" }, "used by"), found.slice(0, 8).map(chip), found.length > 8 ? `and ${found.length - 8} more` : null) : null;
}

function choice(step, state, what, count, now) {
  const links = [];
  for (let i = 0; i < count; i++) links.push(el("a", { class: "tool", href: stepLink(step.name, { ...rest(state), [what]: i }), "aria-current": i === now ? "page" : null }, String(i)));
  return el("div", { class: "links" }, el("span", { class: "what" }, what), links);
}

const rest = ({ step, ...others }) => others;

function headStrip(step, state, head, text) {
  const thumbs = [];
  for (let i = 0; i < heads(step); i++) thumbs.push(thumb(step, i, text, String(i), String(i === head), { href: stepLink(step.name, { ...rest(state), head: i }) }));
  return el("div", {}, el("h3", {}, "Heads"), el("div", { class: "strip" }, thumbs));
}

// What of a step's numbers is in the page: all of them or some, with all of their digits or rounded.
function leftOut(step) {
  const said = [];
  axesOf(step).forEach((letter, axis) => {
    const held = places(step, axis).count;
    const kept = step.kept[axis];
    if (held === step.shape[axis]) return;
    const which = typeof kept === "number" ? `the first ${held}` : letter === "V" ? `the ${held} likeliest` : `${held} chosen`;
    said.push(`${which} of ${step.shape[axis]} along ${data.axes[letter]}`);
  });
  const notes = [kept(step.numbers)];
  if (said.length) notes.push(`Here are only ${said.join(" and ")}.`);
  if (said.length || step.numbers.unit) notes.push("The saved trace and the JSON have every number with every digit.");
  return el("p", { class: "note" }, notes.join(" "));
}

function kept({ kind, unit }) {
  if (kind === "u") return `Rounded to the nearest ${unitOf(unit)}, so no number here is more than half of that from the model's.`;
  return { f4: "Every digit of the model's 32-bit numbers.", f8: "Every digit of the model's 64-bit numbers.", i4: "Whole numbers." }[kind];
}

const unitOf = ([digit, places]) => (places > 0 ? `0.${"0".repeat(places - 1)}${digit}` : `${digit}${"0".repeat(-places)}`);

function board(step, view) {
  const parts = step.equation.map((term) => (typeof term === "string" ? el("span", { class: "sign" }, term) : smallMatrix({ ...term, kind: term.numbers.kind }, (r, c) => numbers(term.numbers)[r * term.shape[1] + c])));
  const result = { symbol: letterOf(step), shape: [view.rows, view.columns], rows: view.rowNames, columns: view.columnNames, kind: view.kind };
  const arrow = step.equation[step.equation.length - 1] === "→";
  return el("div", { class: "board" }, parts, arrow ? null : el("span", { class: "sign" }, "="), smallMatrix(result, view.value));
}

function smallMatrix(matrix, value) {
  const [rows, columns] = matrix.shape;
  const body = el("table");
  const digits = digitsOf(rows, columns, value, matrix.kind);
  for (let r = 0; r < rows; r++) {
    const row = el("tr");
    for (let c = 0; c < columns; c++) row.append(el("td", { title: exact(value(r, c), matrix.kind) }, short(value(r, c), matrix.kind, digits)));
    body.append(row);
  }
  const beside = matrix.rows ? el("div", { class: "names" }, matrix.rows.map((name) => el("div", {}, name))) : null;
  return el("figure", {}, el("figcaption", {}, symbolOf(matrix.symbol, {})), el("div", { class: "named" }, beside, body));
}

// So many digits as all numbers of a matrix need, at most four.
function digitsOf(rows, columns, value, kind) {
  const same = (a, b) => (kind === "f4" ? Math.fround(a) === b : a === b);
  for (let digits = 0; digits < 4; digits++) {
    let enough = true;
    for (let r = 0; r < rows && enough; r++) for (let c = 0; c < columns && enough; c++) enough = value(r, c) <= data.hidden || same(Number(value(r, c).toFixed(digits)), value(r, c));
    if (enough) return digits;
  }
  return 4;
}

function say(readout, view, head, r, c) {
  const step = view.step;
  const value = view.value(r, c);
  const place = [view.rows > 1 || view.rowNames ? view.row(r) : null, view.column(c)].filter((part) => part !== null && part !== "").join(", ");
  const lines = [el("div", {}, el("span", { class: "where" }, `${letterOf(step)}[${place}]${heads(step) > 1 ? `, head ${head}` : ""}  `), el("span", { class: "exact" }, exact(value, view.kind)))];
  const worked = step.worked && step.worked[head] && step.worked[head][r * view.columns + c];
  if (worked) lines.push(el("div", { class: "worked" }, `= ${worked}`));
  if (attends(step) && view.columnNames) {
    const words = view.columnNames.map((name, i) => el("span", { style: `background:${background(step, view.value(r, i))};color:${ink(step, view.value(r, i))}`, title: exact(view.value(r, i), view.kind) }, name));
    lines.push(el("div", { class: "looks" }, el("span", { class: "where" }, `${view.row(r)} looks at`), words));
  }
  readout.replaceChildren(...lines);
}

function remember(state, r, c) {
  if (!FRAMED) history.replaceState(null, "", hash({ ...state, at: `${r},${c}` }));
}

function startAt(state, view) {
  const [r, c = 0] = (state.at || "0,0").split(",").map((part) => Number(part) || 0);
  return [Math.min(r, view.rows - 1), Math.min(c, view.columns - 1)];
}

function cursor(node, view, state, show) {
  let [row, column] = startAt(state, view);
  const move = (r, c, keep) => {
    row = Math.max(0, Math.min(view.rows - 1, r));
    column = Math.max(0, Math.min(view.columns - 1, c));
    show(row, column);
    if (keep) remember(state, row, column);
  };
  node.setAttribute("tabindex", "0");
  node.addEventListener("keydown", (event) => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -column], End: [0, view.columns] }[event.key];
    if (!by) return;
    event.preventDefault();
    move(row + by[0], column + by[1], true);
  });
  move(row, column, false);
  return move;
}

function table(view, head, readout, state) {
  const step = view.step;
  const cells = [];
  const body = el("tbody");
  const tops = [];
  const sides = [];
  for (let r = 0; r < view.rows; r++) {
    const side = el("th", { scope: "row" }, view.rows > 1 || view.rowNames ? view.row(r) : "");
    const line = el("tr", {}, side);
    sides.push(side);
    cells.push([]);
    for (let c = 0; c < view.columns; c++) {
      const value = view.value(r, c);
      const cell = el("td", { style: `background:${background(step, value)};color:${ink(step, value)}`, title: exact(value, view.kind) }, short(value, view.kind, view.digits));
      cell.addEventListener("mouseenter", () => move(r, c, false));
      cell.addEventListener("click", () => move(r, c, true));
      cells[r].push(cell);
      line.append(cell);
    }
    body.append(line);
  }
  const top = el("tr", {}, el("th"));
  for (let c = 0; c < view.columns; c++) {
    tops.push(el("th", { scope: "col" }, view.column(c)));
    top.append(tops[c]);
  }
  const focus = () => node.focus({ preventScroll: true });
  const node = el("table", { class: "numbers", onclick: focus, "aria-label": `${step.name}: rows and columns of numbers` }, el("thead", {}, top), body);
  let marked = [];
  const move = cursor(node, view, state, (r, c) => {
    marked.forEach((one) => one.classList.remove("at"));
    marked = [cells[r][c], sides[r], tops[c]];
    marked.forEach((one) => one.classList.add("at"));
    say(readout, view, head, r, c);
  });
  return el("div", { class: "scroll" }, node);
}

function heat(view, head, readout, state) {
  const step = view.step;
  const high = view.rows <= 24 ? 22 : view.rows <= 80 ? 12 : 5;
  const wide = Math.max(view.columns <= 40 ? 18 : 4, Math.min(18, 900 / view.columns));
  const canvas = paint(el("canvas", { role: "img", "aria-label": `${step.name} as a heat map` }), view);
  canvas.style.cssText = `width:${wide * view.columns}px;height:${high * view.rows}px`;
  const sides = [];
  for (let r = 0; r < view.rows; r++) sides.push(el("div", { style: `height:${high}px` }, high >= 12 ? view.row(r) : ""));
  const mark = el("div", { style: `position:absolute;width:${wide}px;height:${high}px;outline:2px solid var(--ink);pointer-events:none` });
  const holder = el("div", { style: "position:relative;width:max-content", "aria-label": "use the arrow keys to read the numbers" }, canvas, mark);
  const move = cursor(holder, view, state, (r, c) => {
    mark.style.left = `${c * wide + 1}px`;
    mark.style.top = `${r * high + 1}px`;
    sides.forEach((side, i) => side.classList.toggle("at", i === r));
    say(readout, view, head, r, c);
  });
  canvas.addEventListener("mousemove", (event) => move(...cellUnder(event, canvas, view.rows, view.columns), false));
  canvas.addEventListener("click", (event) => {
    move(...cellUnder(event, canvas, view.rows, view.columns), true);
    holder.focus({ preventScroll: true });
  });
  const above = view.columnNames && wide >= 14 ? el("div", { class: "above" }, view.columnNames.map((name) => el("div", { style: `width:${wide}px` }, el("span", {}, name)))) : null;
  return el("div", { class: "scroll" }, el("div", { class: "heat" }, above ? [el("div"), above] : null, el("div", { class: "side", style: "padding-top:1px" }, sides), holder));
}

function walkOn(step) {
  const at = order.indexOf(step.name);
  const link = (name, says) => (name ? el("a", { href: stepLink(name), class: "tool" }, `${says} ${name}`) : null);
  return el("div", { class: "links", style: "margin-top:1.6rem" }, link(order[at - 1], "←"), link(order[at + 1], "→"));
}

