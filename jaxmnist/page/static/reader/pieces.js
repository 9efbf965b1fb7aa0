// Ink in pieces that hang together, by the runs of neighbouring pixels in its rows.

import { newMask } from "./morphology.js";
import { searchSorted } from "./numbers.js";

// Returns the ink of each row in runs of neighbouring pixels, from the top left to the bottom right.
export function findRuns({ data, width, height }) {
  const row = [];
  const start = [];
  const stop = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!data[y * width + x]) continue;
      const first = x;
      while (x < width && data[y * width + x]) x++;
      row.push(y);
      start.push(first);
      stop.push(x);
    }
  }
  return { row, start, stop, width };
}

// Returns for each run the number of its piece, from 0; pieces touch at no corner.
export function connect({ row, start, stop, width }) {
  const parent = row.map((_, i) => i);
  const root = (i) => {
    while (parent[i] !== i) i = parent[i] = parent[parent[i]];
    return i;
  };
  const key = width + 2;
  const begins = row.map((y, i) => y * key + start[i]);
  const ends = row.map((y, i) => y * key + stop[i]);
  for (let i = 0; i < row.length; i++) {
    const low = searchSorted(ends, begins[i] + key);
    const high = searchSorted(begins, ends[i] + key, true);
    for (let j = low; j < high; j++) {
      const [a, b] = [root(i), root(j)];
      parent[Math.max(a, b)] = Math.min(a, b);
    }
  }
  const numbers = new Map();
  return row.map((_, i) => {
    const first = root(i);
    if (!numbers.has(first)) numbers.set(first, numbers.size);
    return numbers.get(first);
  });
}

// Returns the mask of the runs, each by its number, that a test accepts.
export function paint(runs, like, test) {
  const mask = newMask(like);
  for (let i = 0; i < runs.row.length; i++) {
    if (test(i)) {
      const first = runs.row[i] * runs.width;
      mask.data.fill(1, first + runs.start[i], first + runs.stop[i]);
    }
  }
  return mask;
}

// Returns all ink of a mask in pieces that hang together: boxes, amounts of ink, largest strengths.
export function findPieces(mask, strength) {
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
