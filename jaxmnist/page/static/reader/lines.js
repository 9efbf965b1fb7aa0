// Strokes put together to lines of writing, in the order in which people read them.

import { clamp, mean, median, sum } from "./numbers.js";

const LARGE = 0.45; // of the typical size: smaller strokes are parts of digits
const NEAR = 0.3; // of the typical size: how far a part may lie from the rest of its digit
const OVERLAP = 0.25; // of the lower one's height, which two neighbours in a line have in common
const STEEPEST = 0.35; // slope of a line
const NEIGHBOURS = 6; // digits before one that say where the line goes on

// Returns the lines of a page from top to bottom, each {strokes, large, box, height, middle}.
export function findLines({ strokes, size }) {
  const isLarge = (stroke) => stroke.size >= LARGE * size;
  const lines = [];
  for (const stroke of sorted(strokes.filter(isLarge), ({ centre }) => centre[0])) {
    const shares = lines.map((line) => inCommon(line, stroke));
    const best = shares.indexOf(Math.max(...shares));
    if (lines.length && shares[best] > OVERLAP) lines[best].push(stroke);
    else lines.push([stroke]);
  }
  const parts = lines.map(() => []);
  for (const stroke of strokes) {
    if (isLarge(stroke) || !lines.length) continue;
    const distances = lines.map((line) => Math.min(...line.map((other) => distance(stroke, other))));
    const nearest = distances.indexOf(Math.min(...distances));
    if (distances[nearest] < NEAR * size) parts[nearest].push(stroke);
  }
  const together = lines.map((line, i) => toLine([...line, ...parts[i]], line));
  return sorted(together, ({ large }) => mean(Float64Array.from(large, ({ centre }) => centre[1])));
}

function sorted(values, key) {
  return [...values].sort((a, b) => key(a) - key(b));
}

function toLine(all, large) {
  const strokes = sorted(all, ({ box }) => box[0]);
  const edge = (best, i) => best(...strokes.map(({ box }) => box[i]));
  const box = [edge(Math.min, 0), edge(Math.min, 1), edge(Math.max, 2), edge(Math.max, 3)];
  const heights = sorted(large, (stroke) => stroke.height).map((stroke) => stroke.height);
  const widest = Math.max(...large.map(({ width }) => width));
  const usual = heights[Math.trunc(0.8 * (heights.length - 1) + 0.5)];
  const height = Math.max(usual, 0.35 * widest);
  const { slope, start } = fit(large, height);
  return { strokes, large, box, height, middle: (x) => start + slope * x };
}

// Returns the share of a stroke's height, or the last one's, that lies in the line.
function inCommon(line, stroke) {
  const last = line[line.length - 1];
  const share = overlap(stroke, last.box[1], last.box[3]);
  if (line.length <= 2) return share;
  const near = line.slice(-NEIGHBOURS);
  const height = median(near.map((other) => other.height));
  const { slope, start } = fit(near, height);
  const middle = start + slope * stroke.centre[0];
  return Math.max(share, overlap(stroke, middle - height / 2, middle + height / 2));
}

function overlap(stroke, top, bottom) {
  const common = Math.min(stroke.box[3], bottom) - Math.max(stroke.box[1], top);
  return common / Math.max(Math.min(stroke.height, bottom - top), 1);
}

function distance({ box: a }, { box: b }) {
  return Math.max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3], 0);
}

// Returns slope and start of the straight line through strokes' centres, level if few.
function fit(strokes, height) {
  const x = Float64Array.from(strokes, ({ centre }) => centre[0]);
  const y = Float64Array.from(strokes, ({ centre }) => centre[1]);
  let slope = 0;
  if (strokes.length > 2 && Math.max(...x) - Math.min(...x) > 2 * height) {
    const middle = mean(x);
    const away = x.map((value) => value - middle);
    const steepness = sum(away.map((value, i) => value * y[i])) / sum(away.map((value) => value * value));
    slope = clamp(steepness, -STEEPEST, STEEPEST);
  }
  return { slope, start: mean(y) - slope * mean(x) };
}
