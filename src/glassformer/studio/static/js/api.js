// What the server knows. Nothing is computed here: numbers come as bytes and stay as they are.

const ARRAYS = { f8: Float64Array, f4: Float32Array, i4: Int32Array };
const ROOM = 48 * 1024 * 1024; // bytes of numbers that are kept

/** A request that was refused, in the server's sentence. */
export class Refused extends Error {}

// A connection that is gone, as a sentence; that of someone who went away himself stays what it is.
function lost(error) {
  if (error.name === "AbortError") return error;
  return new Refused("the studio does not answer; it may have been stopped: start it again with `glassformer studio`");
}

async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw lost(error);
  }
  if (response.ok) return response;
  const text = await response.text();
  let sentence = text;
  try {
    sentence = JSON.parse(text).error || text;
  } catch {
    // not JSON: the sentence itself
  }
  throw new Refused(sentence || `the studio answered ${response.status}`);
}

/** JSON from the server; with a body it is sent there. */
export async function ask(path, body) {
  const options = body && {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  return (await answered(path, options)).json();
}

/** A file of the page, as text. */
export async function text(path) {
  return (await answered(path)).text();
}

/** Send a file of examples; its name there. */
export async function send(file) {
  return (await (await answered(`api/files/${encodeURIComponent(file.name)}`, { method: "PUT", body: file })).json()).file;
}

/** A file that the server makes: its name and content. */
export async function file(path) {
  const response = await answered(path);
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition"))[1];
  return { name, content: await response.blob() };
}

const held = new Map(); // address -> numbers, the ones asked for last at the end
let weight = 0;

/** The numbers of a step or parameter, or a part such as "0,:,4:12": {kind, shape, peak, array}. */
export async function numbers(run, name, part = "") {
  const address = `api/runs/${run}/values/${encodeURIComponent(name)}${part ? `?part=${part}` : ""}`;
  if (held.has(address)) {
    const found = held.get(address);
    held.delete(address);
    held.set(address, found);
    return found;
  }
  const response = await answered(address);
  const kind = response.headers.get("x-kind");
  const shape = response.headers.get("x-shape").split(",").filter(Boolean).map(Number);
  const peak = Number(response.headers.get("x-peak")); // of the whole step: what full colour means
  const found = { kind, shape, peak, array: new ARRAYS[kind](await response.arrayBuffer()) };
  held.set(address, found);
  weight += found.array.byteLength;
  for (const [oldest, each] of held) {
    if (weight <= ROOM || oldest === address) break;
    held.delete(oldest);
    weight -= each.array.byteLength;
  }
  return found;
}

/** What the server sends as it comes, until it says that nothing more will. */
export async function* events(path, options) {
  const response = await answered(path, options);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw lost(error);
    });
    if (done) return;
    waiting += value;
    const whole = waiting.split("\n\n");
    waiting = whole.pop();
    for (const event of whole) {
      const lines = event.split("\n");
      const kind = (lines.find((line) => line.startsWith("event: ")) || "").slice(7);
      const data = JSON.parse(lines.find((line) => line.startsWith("data: ")).slice(6));
      if (kind === "refused") throw new Refused(data.error);
      if (kind === "end") return;
      yield data;
    }
  }
}

/** The tokens of an answer as they come. */
export function stream(body) {
  return events("api/stream", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}
