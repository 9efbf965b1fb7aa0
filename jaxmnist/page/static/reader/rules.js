// Ruled lines, squares and frames, taken out of a page's ink.

import { closed, count, crop, dilate, maskOf, newMask, opened, transposed } from "./morphology.js";
import { round } from "./numbers.js";
import { findPieces, findRuns, paint } from "./pieces.js";

const FRAME = 0.1; // of a frame's side, that its ink lies within
const OBLIQUE = 0.04; // and of the other side
const SMALLEST_FRAME = 12; // pixels: its shorter side
const SMALLEST_WITHIN = 0.12; // of its shorter side: what is written in it
const [RULE, ALONE] = [0.5, 0.8]; // of the picture: the shortest ruled line, and where there is one alone
const PARTS = 32; // of a page, side by side, in which a rule is level
const BROKEN = 0.1; // and of a part of one
const SMALLEST_PAGE = 64; // pixels of a picture that may be ruled

// Returns the pieces that are neither frames nor ruled lines, and what was left out.
export function withoutLines(mask, strength) {
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
    const least = SMALLEST_WITHIN * Math.min(...sides[number]);
    return boxes.some(
      (box, other) =>
        other !== number && box[0] >= left && box[2] <= right && box[1] >= top && box[3] <= bottom &&
        Math.max(...sides[other]) >= least,
    );
  });
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
  const isPart = (part, { length, beside: [before, behind], fromEdge }) =>
    length > 0 && length / (length + before + behind) >= part && fromEdge <= 0.06 * width;
  // The edge may cut an upright stroke.
  const isAlone = far.filter((each) => isPart(RULE, each)).length === 1;
  const isRule = (each) => isPart(isAlone ? ALONE : RULE, each);
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
