// Strokes told from what else is on a page: ruled lines, frames, dirt, the table beside it.

import { inkLevel } from "./ink.js";
import {
  closed, connect, count, crop, dilate, erode, findRuns, maskOf, newMask, opened, paint, transposed,
} from "./morphology.js";
import { cumulated, median, round, searchSorted } from "./numbers.js";

const SURE = 2; // times the level: ink that strokes have somewhere
const CLEAR = 5; // and times the noise
const WEAKEST = 0.35; // of the ink of typical strokes
const SMALLEST = 0.12; // of the size of digits: what is smaller is dirt
const THICKEST = 0.2; // of its length, for a stroke that touches an edge
const SMALLEST_DIGIT = 6; // pixels: its longer side
const MOST = 1000; // strokes on a page: more are its texture
const LITTLE = 0.005; // of all ink: so much beside what comes in from the edges is dirt
const RULE = 0.5; // of the picture: the shortest ruled line
const PARTS = 32; // of a page, side by side, in which a rule is level
const BROKEN = 0.1; // and of a part of one
const FRAME = 0.1; // of a frame's side, that its ink lies within
const OBLIQUE = 0.04; // and of the other side
const SMALLEST_FRAME = 12; // pixels: its shorter side
const SMALLEST_PAGE = 64; // pixels of a picture that may be ruled

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

// Returns all ink of a mask in pieces that hang together: boxes, amounts of ink, largest strengths.
function findPieces(mask, strength) {
  const runs = findRuns(mask);
  const piece = connect(runs);
  const [boxes, amounts, peaks] = [[], [], []];
  piece.forEach((number, i) => {
    const [y, start, stop] = [runs.row[i], runs.start[i], runs.stop[i]];
    const box = (boxes[number] ??= [start, y, stop, y + 1]);
    box[0] = Math.min(box[0], start);
    box[2] = Math.max(box[2], stop);
    box[3] = y + 1;
    amounts[number] ??= 0;
    peaks[number] ??= 0;
    for (let x = y * mask.width + start; x < y * mask.width + stop; x++) {
      amounts[number] += strength.data[x];
      peaks[number] = Math.max(peaks[number], strength.data[x]);
    }
  });
  return { runs, piece, boxes, amounts, peaks };
}

// Returns how many edges of the picture a box touches.
function edgesOf([left, top, right, bottom], { width, height }) {
  return (left <= 0) + (top <= 0) + (right >= width) + (bottom >= height);
}

// Returns the pieces that are neither frames nor ruled lines, and what was left out.
function withoutLines(mask, strength) {
  const found = findPieces(mask, strength);
  const notes = [];
  const isFrame = findFrames(found);
  let rest = mask;
  if (isFrame.some(Boolean)) {
    rest = paint(found.runs, mask, (i) => !isFrame[found.piece[i]]);
    notes.push("The frame is left out.");
  }
  const ruled = findRules(rest);
  if (count(ruled)) {
    const whole = rest;
    rest = maskOf(mask, (i) => whole.data[i] && !ruled.data[i]);
    notes.push("Ruled lines are taken out.");
  }
  return { found: notes.length ? findPieces(rest, strength) : found, notes };
}

// Returns which pieces have ink along their box alone, and its corners or pieces within it.
function findFrames({ runs, piece, boxes }) {
  const rims = boxes.map(([left, top, right, bottom]) => {
    const [width, height] = [right - left, bottom - top];
    // Of a frame that is a little oblique, a long side reaches further in.
    const [x, y] = [FRAME * width + OBLIQUE * height, FRAME * height + OBLIQUE * width];
    return [left + x, top + y, right - x, bottom - y];
  });
  const sides = boxes.map(([left, top, right, bottom]) => [right - left, bottom - top]);
  const isHollow = sides.map((both) => Math.min(...both) >= SMALLEST_FRAME);
  const corners = boxes.map(() => new Set());
  piece.forEach((number, i) => {
    const [x0, y0, x1, y1] = rims[number];
    const [isTop, isLow] = [runs.row[i] < y0, runs.row[i] >= y1];
    const [isLeft, isRight] = [runs.start[i] < x0, runs.stop[i] > x1];
    if (!isTop && !isLow && runs.stop[i] > x0 && runs.start[i] < x1) isHollow[number] = false;
    if (isTop && isLeft) corners[number].add("top left");
    if (isTop && isRight) corners[number].add("top right");
    if (isLow && isLeft) corners[number].add("low left");
    if (isLow && isRight) corners[number].add("low right");
  });
  return isHollow.map((isFrame, number) => {
    if (!isFrame || corners[number].size === 4) return isFrame;
    const [left, top, right, bottom] = boxes[number];
    const least = SMALLEST * Math.min(...sides[number]);
    return boxes.some(
      (box, other) =>
        other !== number && box[0] >= left && box[2] <= right && box[1] >= top && box[3] <= bottom &&
        Math.max(...sides[other]) >= least,
    );
  });
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

// Returns ruled and squared lines, but for where a stroke crosses them.
function findRules(mask) {
  if (Math.max(mask.width, mask.height) < SMALLEST_PAGE) return newMask(mask);
  const level = levelRules(mask);
  const upright = transposed(levelRules(transposed(mask)));
  return maskOf(mask, (i) => level.data[i] || upright.data[i]);
}

// Returns lines that run along the rows: thin, long, and on to an edge.
function levelRules(mask) {
  const { width, height } = mask;
  const thickest = Math.max(3, Math.floor(Math.max(width, height) / 130));
  const step = Math.max(7, Math.floor(width / 40)) | 1;
  const gap = 2 * step + 1;
  const runs = findRuns(mask);
  const isLong = (i) => runs.stop[i] - runs.start[i] >= step;
  const lengths = runs.row.map((_, i) => (isLong(i) ? runs.stop[i] - runs.start[i] : 0));
  const ink = lengths.reduce((a, b) => a + b, 0);
  if (ink < (RULE * width * step) / (step + gap)) return newMask(mask); // too little for one line
  const long = paint(runs, mask, isLong);
  const thick = opened(mask, thickest + 1 + (thickest % 2), 1);
  // Of a line that is a little oblique or dotted there are many runs.
  const thin = dilate(maskOf(mask, (i) => long.data[i] && !thick.data[i]), 3, 1);
  const framed = closed(crop(thin, -gap, 0, width + gap, height), 1, gap);
  const joined = crop(framed, gap, 0, width + gap, height);
  const pieces = findPieces(joined, joined);
  const far = pieces.boxes.map(([left, top, right, bottom], number) => {
    const isLevel = bottom - top <= Math.max(0.12 * (right - left), 3);
    const length = isLevel ? right - left : 0;
    const beside = length >= BROKEN * width ? paperBeside(mask, pieces, number) : [width, width];
    return { length, beside, fromEdge: Math.min(...beside) };
  });
  const isRule = ({ length, beside: [before, behind], fromEdge }) =>
    length > 0 && length >= RULE * (length + before + behind) && fromEdge <= 0.06 * width;
  // Where some are whole, those that a stroke runs along may be broken there.
  const isBroken = ({ length, fromEdge }) => length >= BROKEN * width && fromEdge <= 0.02 * width;
  if (!far.some(isRule)) return newMask(mask);
  const rules = far.map((each) => (isRule(each) || isBroken(each) ? each.length : 0));
  const lines = paint(pieces.runs, mask, (i) => rules[pieces.piece[i]] > 0);
  const level = parallel(mask, slopeOf(pieces, rules), thickest);
  const ruled = maskOf(
    mask,
    (i) => (lines.data[i] || level.data[i]) && mask.data[i] && !thick.data[i],
  );
  // Where there is ink both above and below the line, a stroke crosses it.
  const rest = crop(maskOf(mask, (i) => mask.data[i] && !ruled.data[i]), 0, -thickest, width, height + thickest);
  const reach = dilate(rest, thickest | 1, 1).data;
  return maskOf(ruled, (i) => ruled.data[i] && !(reach[i] && reach[i + 2 * thickest * width]));
}

// Returns the runs that begin and end a piece.
function endsOf({ runs, piece }, number) {
  let first = -1;
  let last = -1;
  piece.forEach((each, i) => {
    if (each !== number) return;
    if (first < 0 || runs.start[i] < runs.start[first]) first = i;
    if (last < 0 || runs.stop[i] > runs.stop[last]) last = i;
  });
  return [first, last];
}

// Returns by how many rows the longest rule falls in a column.
function slopeOf(pieces, lengths) {
  const longest = Math.max(...lengths);
  const [first, last] = endsOf(pieces, lengths.indexOf(longest));
  return (pieces.runs.row[last] - pieces.runs.row[first]) / longest;
}

// Returns the rows that ink runs along, of a page whose rules fall by a slope.
function parallel(mask, slope, thickest) {
  const { width, height } = mask;
  const edges = Array.from({ length: PARTS + 1 }, (_, i) => round((i * width) / PARTS));
  const shifts = edges.slice(1).map((b, i) => round((slope * (edges[i] + b - width)) / 2));
  const most = Math.max(...shifts.map(Math.abs));
  const ink = new Int32Array(height + 2 * most);
  shifts.forEach((shift, part) => {
    for (let y = 0; y < height; y++) {
      const row = mask.data.subarray(y * width + edges[part], y * width + edges[part + 1]);
      for (const value of row) ink[most - shift + y] += value;
    }
  });
  const inked = { data: Uint8Array.from(ink, (sum) => (sum >= RULE * width ? 1 : 0)), width: 1, height: ink.length };
  const level = dilate(inked, 3, 1);
  const thick = opened(level, thickest + 3 + (thickest % 2), 1);
  const found = newMask(mask);
  shifts.forEach((shift, part) => {
    for (let y = 0; y < height; y++) {
      const i = most - shift + y;
      if (level.data[i] && !thick.data[i]) {
        found.data.fill(1, y * width + edges[part], y * width + edges[part + 1]);
      }
    }
  });
  return found;
}

// Returns how many pixels of paper lie between both ends of a piece and the picture's edges.
// What comes in from the edge is no paper: a rule may end there.
function paperBeside(mask, pieces, number) {
  const { width } = mask;
  const { row, start, stop } = pieces.runs;
  const [first, last] = endsOf(pieces, number);
  const paper = (from, to) => mask.data.subarray(from, to).reduce((sum, value) => sum + 1 - value, 0);
  return [
    paper(row[first] * width, row[first] * width + start[first]),
    paper(row[last] * width + stop[last], (row[last] + 1) * width),
  ];
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
