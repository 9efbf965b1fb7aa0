// Reads a picture: lines of writing, string by string, as `jaxmnist read` does.

import { toCanvas } from "./canvas.js";
import { decode } from "./decode.js";
import { findInk, toPage } from "./ink.js";
import { findLines } from "./lines.js";
import { logits } from "./network.js";
import { toPicture } from "./picture.js";
import { findStrokes } from "./strokes.js";

const KNOWN = 0.5; // probability from which on a digit is one that the network knows
const INK = 60; // of 255, from which on a column of a canvas belongs to a digit

// Returns {picture, page, found, lines, canvases}: the writing in a picture of RGBA.
export function look(rgba) {
  const picture = toPicture(rgba);
  const page = toPage(picture);
  const ink = findInk(page);
  const found = findStrokes(ink);
  const lines = findLines(found);
  return { picture, page, found, lines, canvases: lines.map((line) => toCanvas(ink, found, line)) };
}

// Returns {text, confidence, lines, notes}; each line has the canvas that the network saw.
export function read(layers, rgba) {
  return readSeen(layers, look(rgba));
}

export function readSeen(layers, seen) {
  const lines = [];
  seen.lines.forEach((line, i) => {
    const decoded = decode(logits(layers, seen.canvases[i].pixels));
    if (decoded.digits.length) lines.push(lineReading(seen, line, seen.canvases[i], decoded));
  });
  const inverted = lines.length && !seen.page.inkIsDark;
  return {
    text: lines.map(({ text }) => text).join("/"),
    confidence: lines.reduce((product, line) => product * line.confidence, 1),
    lines,
    notes: [...(inverted ? ["Light ink on a dark ground: inverted."] : []), ...seen.found.notes],
  };
}

function lineReading(seen, line, canvas, { digits, confidence }) {
  const { scale } = seen.picture;
  const last = canvas.columns.length - 1;
  // A column of logits is two of the canvas.
  const middles = digits.map(({ first, last: end }) => first + end + 1);
  const cuts = [0, ...middles.slice(1).map((b, i) => (middles[i] + b) >> 1), last + 1];
  const found = digits.map(({ digit, confidence: sure, probabilities }, i) => {
    const [start, stop] = [cuts[i], cuts[i + 1]];
    const inked = inkedColumns(canvas.pixels, start, stop);
    const ends = inked.length
      ? [inked[0], inked[inked.length - 1]]
      : [Math.min(start, last), Math.min(Math.max(stop - 1, 0), last)];
    const [left, right] = ends.map((end) => canvas.columns[end]);
    const box = inkBox(seen, line, left, right).map((edge) => edge * scale);
    return { digit, confidence: sure, probabilities, box };
  });
  const text = found.map((each) => (each.confidence >= KNOWN ? each.digit : "?")).join("");
  const box = line.box.map((edge) => edge * scale);
  return { text, confidence, box, digits: found, canvas: canvas.pixels };
}

function inkedColumns({ data, width, height }, start, stop) {
  const inked = [];
  for (let x = start; x < Math.min(stop, width); x++) {
    let most = 0;
    for (let y = 0; y < height; y++) most = Math.max(most, data[y * width + x]);
    if (most > INK) inked.push(x);
  }
  return inked;
}

// Returns the box of a line's ink between two places.
function inkBox({ found: { labels } }, line, left, right) {
  // On a slope a canvas begins and ends beside the box of its line.
  const x0 = Math.min(Math.max(Math.trunc(left), line.box[0]), line.box[2] - 1);
  const x1 = Math.max(Math.min(Math.ceil(right), line.box[2]), x0 + 1);
  const own = new Set(line.strokes.map(({ number }) => number));
  let [top, bottom] = [line.box[3], line.box[1]];
  for (let y = line.box[1]; y < line.box[3]; y++) {
    for (let x = x0; x < x1; x++) {
      if (!own.has(labels.data[y * labels.width + x])) continue;
      top = Math.min(top, y);
      bottom = y + 1;
    }
  }
  return bottom > top ? [x0, top, x1, bottom] : [x0, line.box[1], x1, line.box[3]];
}
