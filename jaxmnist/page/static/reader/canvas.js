// A line of writing brought to the canvas of the networks, the way MNIST was made.

import { crop, dilate, maskOf } from "./morphology.js";
import { clamp, round } from "./numbers.js";
import { resize } from "./resample.js";

export const SIDE = 28; // pixels, the height of a canvas
const DIGIT = 20; // of the canvas: the height of a digit
const TALLEST = 26; // and of the whole line
const SWAY = 0.15; // of a digit's height, by which it may stand above or below the line
const MARGIN = 4; // columns without ink at both ends
const WIDEST_GAP = 14; // columns between two digits: more say nothing
const EMPTY = 38; // of 255: a column that is darker has no ink
const BRIGHT = 0.7; // share of the ink's pixels that do not become white

// Returns {pixels, columns}: the canvas, and where each of its columns lies in the picture.
export function toCanvas(ink, found, line) {
  const { pieces, left } = levelled(ink.strength, found, line);
  const [low, high] = inkedRows(pieces, found.level);
  const scale = Math.max(line.height / DIGIT, (high - low) / TALLEST);
  const width = Math.ceil(pieces.width / scale) + 2 * MARGIN;
  const top = (low + high) / 2 - (SIDE / 2) * scale;
  const small = resampled(pieces, top, -MARGIN * scale, scale, width);
  brighten(small.data);
  const kept = withoutWideGaps(small);
  const pixels = { data: new Uint8Array(SIDE * kept.length), width: kept.length, height: SIDE };
  kept.forEach((from, to) => {
    for (let y = 0; y < SIDE; y++) pixels.data[y * kept.length + to] = small.data[y * width + from];
  });
  return { pixels, columns: kept.map((column) => left + (column + 0.5 - MARGIN) * scale) };
}

function inkedRows({ data, width, height }, level) {
  let [low, high] = [0, height];
  const isInked = (y) => data.subarray(y * width, (y + 1) * width).some((value) => value > level);
  while (low < height && !isInked(low)) low++;
  if (low === height) return [0, height];
  while (!isInked(high - 1)) high--;
  return [low, high];
}

// Returns pieces with pixels that are `scale` old ones wide, from a corner outside them.
function resampled(pieces, top, left, scale, width) {
  const spare = Math.ceil(Math.max(scale * SIDE, -left)) + 2; // as far as the new pixels reach
  const framed = crop(pieces, -spare, -spare, pieces.width + spare, pieces.height + spare);
  const [x, y] = [left + spare, top + spare];
  const right = Math.min(x + width * scale, framed.width);
  return resize(framed, width, SIDE, [x, y, right, Math.min(y + SIDE * scale, framed.height)]);
}

// Makes the brightest ink white.
function brighten(data) {
  const most = data.reduce((a, b) => Math.max(a, b), 0);
  const strong = data.filter((value) => value > 0.3 * most).sort();
  if (!strong.length) return;
  const white = strong[Math.trunc(BRIGHT * (strong.length - 1))];
  for (let i = 0; i < data.length; i++) {
    data[i] = Math.min(Math.floor((data[i] * 255 + (white >> 1)) / white), 255);
  }
}

// Returns the ink of a line with all digits at the same height, and where its left edge lies.
// A digit keeps a little of what it stands above or below the line.
function levelled(strength, found, line) {
  const soft = Math.max(1, round(line.height / 25)); // pixels around a stroke that belong to it
  const [left, top, right, bottom] = line.box;
  const middle = line.middle((left + right) / 2);
  const shifts = line.large.map((stroke) => shift(line, stroke, middle));
  const spare = soft + Math.max(...shifts.map(Math.abs));
  const [width, height] = [right - left + 2 * soft, bottom - top + 2 * spare];
  const pieces = { data: new Uint8Array(width * height), width, height };
  for (const stroke of line.strokes) {
    const away = line.large.map((other) => Math.abs(other.centre[0] - stroke.centre[0]));
    const x0 = Math.max(stroke.box[0] - soft, 0);
    const y0 = Math.max(stroke.box[1] - soft, 0);
    const x1 = Math.min(stroke.box[2] + soft, strength.width);
    const y1 = Math.min(stroke.box[3] + soft, strength.height);
    const labels = crop(found.labels, x0, y0, x1, y1);
    const isOwn = maskOf(labels, (i) => labels.data[i] === stroke.number);
    const near = dilate(isOwn, 2 * soft + 1, 2 * soft + 1);
    const down = y0 - top + spare - shifts[away.indexOf(Math.min(...away))];
    const across = x0 - left + soft;
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        const i = (y - y0) * labels.width + x - x0;
        if (!near.data[i] || (labels.data[i] !== 0 && labels.data[i] !== stroke.number)) continue;
        const to = (down + y - y0) * width + across + x - x0;
        pieces.data[to] = Math.max(pieces.data[to], strength.data[y * strength.width + x]);
      }
    }
  }
  return { pieces, left: left - soft };
}

// Returns by how many pixels a digit goes up, so that all stand on a level line.
function shift(line, stroke, middle) {
  const [x, y] = stroke.centre;
  const most = SWAY * line.height;
  const sway = clamp(y - line.middle(x), -most, most);
  return round(y - sway - middle);
}

// Returns the columns that remain when gaps are no wider than in training.
function withoutWideGaps({ data, width }) {
  const kept = [];
  let lastInk = -1;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < SIDE; y++) if (data[y * width + x] >= EMPTY) lastInk = x;
    if (x - lastInk <= WIDEST_GAP) kept.push(x);
  }
  return kept;
}
