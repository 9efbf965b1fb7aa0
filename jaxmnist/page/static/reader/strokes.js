// Strokes told from what else is on a page: dirt, and the table beside it.

import { inkLevel } from "./ink.js";
import { count, crop, dilate, erode, maskOf, newMask } from "./morphology.js";
import { cumulated, median, round, searchSorted } from "./numbers.js";
import { paint } from "./pieces.js";
import { withoutLines } from "./rules.js";

const SURE = 2; // times the level: ink that strokes have somewhere
const CLEAR = 5; // and times the noise
const WEAKEST = 0.35; // of the ink of typical strokes
const SMALLEST = 0.12; // of the size of digits: what is smaller is dirt
const THICKEST = 0.2; // of its length, for a stroke that touches an edge
const SMALLEST_DIGIT = 6; // pixels: its longer side
const MOST = 1000; // strokes on a page: more are its texture
const LITTLE = 0.005; // of all ink: so much beside what comes in from the edges is dirt

// Finds the strokes of a page, {labels, strokes, size, level, notes}.
export function findStrokes({ strength, noise }) {
  const labels = { data: new Int32Array(strength.data.length), width: strength.width, height: strength.height };
  const nothing = { labels, strokes: [], size: 0, level: 0, notes: [] };
  const inked = (level) => maskOf(strength, (i) => strength.data[i] > level);
  let level = inkLevel(noise, strength);
  if (level === null) return nothing;
  // Lines go first: they join the writing to what is outside.
  let mask = inked(level);
  let { found, notes } = withoutLines(mask, strength);
  const outside = findOutside(found, mask);
  if (count(outside)) {
    const kept = paint(found.runs, mask, () => true);
    const isLeft = (i) => !outside.data[i] && (kept.data[i] || !mask.data[i]);
    strength = { ...strength, data: strength.data.map((value, i) => (isLeft(i) ? value : 0)) };
    level = inkLevel(noise, strength);
    if (level === null) return nothing;
    mask = inked(level);
    const again = withoutLines(mask, strength);
    found = again.found;
    notes = [...new Set([...notes, ...again.notes, "What comes in from the edge is left out."])];
  }
  if (!found.boxes.length) return nothing;
  const strokes = found.boxes.map((box, i) => toStroke(i + 1, box));
  const { size, peak } = typical(strokes, found, mask);
  const least = Math.max(SURE * level, WEAKEST * peak, CLEAR * noise);
  const kept = strokes.filter(
    (stroke, i) => found.peaks[i] >= least && isWritten(stroke, size, mask),
  );
  if (size < SMALLEST_DIGIT || kept.length > MOST) return nothing;
  found.runs.row.forEach((y, i) => {
    const first = y * mask.width;
    labels.data.fill(found.piece[i] + 1, first + found.runs.start[i], first + found.runs.stop[i]);
  });
  return { labels, strokes: kept, size, level, notes };
}

function toStroke(number, box) {
  const [width, height] = [box[2] - box[0], box[3] - box[1]];
  const centre = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  return { number, box, width, height, size: Math.max(width, height), centre };
}

// Returns how many edges of the picture a box touches.
function edgesOf([left, top, right, bottom], { width, height }) {
  return (left <= 0) + (top <= 0) + (right >= width) + (bottom >= height);
}

// Returns what comes in from the edge and is no stroke: the table, a shadow, a frame.
function findOutside(found, like) {
  const mask = paint(found.runs, like, () => true);
  const outside = new Set();
  found.boxes.forEach((box, number) => {
    const [left, top, right, bottom] = box;
    const edges = edgesOf(box, mask);
    if (!edges) return;
    if (edges > 2) {
      outside.add(number);
      return;
    }
    const share = Math.max((right - left) / mask.width, (bottom - top) / mask.height);
    const thick = round(THICKEST * Math.max(right - left, bottom - top) + 3) | 1;
    const half = thick >> 1;
    const all = paint(found.runs, mask, (i) => found.piece[i] === number);
    // A square has to fit in altogether.
    const own = crop(crop(all, left, top, right, bottom), -half, -half, right - left + half, bottom - top + half);
    if ((edges > 1 && share > 0.5) || count(erode(own, thick, thick))) outside.add(number);
  });
  const nothing = newMask(mask);
  if (!outside.size) return nothing;
  const rim = 2 * Math.max(3, Math.floor(Math.max(mask.width, mask.height) / 60)) + 1; // its edge is blurred
  const away = dilate(paint(found.runs, mask, (i) => outside.has(found.piece[i])), rim, rim);
  const rest = maskOf(mask, (i) => mask.data[i] && !away.data[i]);
  return count(rest) < LITTLE * count(mask) ? nothing : away;
}

// Returns size and strongest ink of a typical digit: the median, weighted by ink.
function typical(strokes, found, mask) {
  const isInside = strokes.map(({ box }) => !edgesOf(box, mask));
  const largest = Math.max(0, ...strokes.map(({ size }, i) => (isInside[i] ? size : 0)));
  const total = (numbers) => numbers.reduce((sum, i) => sum + found.amounts[i], 0);
  const every = strokes.map((_, i) => i);
  const inside = every.filter((i) => isInside[i] && strokes[i].size >= 0.2 * largest);
  const chosen = total(inside) > 0.01 * total(every) ? inside : every;
  const order = [...chosen].sort((a, b) => strokes[a].size - strokes[b].size);
  const sums = cumulated(order.map((i) => found.amounts[i]));
  const half = searchSorted(sums, sums[sums.length - 1] / 2);
  const peak = median(order.slice(half).map((i) => found.peaks[i]));
  return { size: strokes[order[half]].size, peak };
}

// Returns whether a stroke may be a part of a digit, by its size and place.
function isWritten(stroke, size, mask) {
  if (stroke.size < Math.max(SMALLEST * size, 2)) return false;
  const atEdge = edgesOf(stroke.box, mask) > 0;
  if (atEdge && Math.min(stroke.width / 0.1, stroke.height / 0.4) < size) return false;
  return !(stroke.width > 4 * stroke.height && stroke.width > 1.5 * size);
}
