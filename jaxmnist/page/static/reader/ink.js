// Ink found on paper: how strong it is at each pixel, whatever the light, the paper and the pen.

import { closed, count, crop, erode, maskOf, meanAround } from "./morphology.js";
import { cumulated, histogram, mean, median, percentile, round } from "./numbers.js";
import { reduce, resize } from "./resample.js";

const [COARSE, COARSEST] = [200, 100]; // pixels of the longer side: of the paper, and of the whole page
const WIDEST = 0.35; // of the shorter side: no stroke is wider
const CUT = 0.8; // of the paper's light, which ink that the edge cuts does not reach
const FIBRE = 100; // of the longer side is a pixel that has other noise than its neighbour
const CLEARANCE = 4; // widths of a stroke, that paper is looked at with around it
const FAINTEST = 10; // strength that ink has at least, of 255
const DARKEST = 20; // paper is no darker: in black corners ink cannot be seen

// Chooses the colour in which ink stands out, and its polarity.
export function toPage(picture) {
  const grey = inOneColour(picture);
  const inkIsDark = isInkDark(coarser(grey, COARSEST));
  return { light: inkIsDark ? grey : like(grey, (i) => 255 - grey.data[i]), inkIsDark };
}

// Finds ink, {strength, noise}: what is darker than the paper around it.
export function findInk({ light }) {
  const coarse = coarser(light, COARSE);
  const width = thickness(inkOn(coarse, paperOf(coarse, WIDEST * shorter(coarse))));
  const paper = paperOf(coarse, CLEARANCE * width + 2);
  return inkOn(light, resize(paper, light.width, light.height));
}

// Returns the strength above which there is ink; null: there is no ink.
export function inkLevel(noise, strength) {
  const counts = histogram(strength).fill(0, 0, Math.trunc(Math.max(3 * noise, FAINTEST / 2)) + 1);
  const sums = cumulated(counts);
  if (sums[255] < 4 || !counts.subarray(FAINTEST).some(Boolean)) return null;
  const parts = Math.min(otsu(counts, sums), 0.5 * percentile(counts, 0.97));
  return Math.trunc(Math.max(0.25 * parts, Math.min(5 * noise, 0.8 * parts), FAINTEST));
}

function otsu(counts, below) {
  const sums = cumulated(counts.map((n, level) => n * level));
  const [all, whole] = [below[255], sums[255]];
  let [best, most] = [0, 0];
  for (let level = 0; level < 256; level++) {
    const product = below[level] * (all - below[level]);
    const apart = product > 0 ? (whole * (below[level] / all) - sums[level]) ** 2 / product : 0;
    if (apart > most) [best, most] = [level, apart];
  }
  return most ? best : counts.findIndex(Boolean) >> 1;
}

function like(image, valueAt) {
  const { width, height } = image;
  const data = new Uint8Array(width * height);
  for (let i = 0; i < data.length; i++) data[i] = valueAt(i);
  return { data, width, height };
}

function shorter({ width, height }) {
  return Math.min(width, height);
}

function longer({ width, height }) {
  return Math.max(width, height);
}

// Returns the ink: the share of the paper's light that is missing, in shadows, too.
function inkOn(light, paper) {
  const whole = like(paper, (i) => Math.max(paper.data[i], DARKEST));
  const strength = like(light, (i) => {
    const left = Math.floor((light.data[i] * 255 + (whole.data[i] >> 1)) / whole.data[i]);
    return 255 - Math.min(left, 255);
  });
  const least = percentile(histogram(strength, 2), 0.5);
  for (let i = 0; i < strength.data.length; i++) {
    strength.data[i] = Math.max(strength.data[i] - least, 0);
  }
  const samples = [];
  for (let y = 0; y < whole.height; y += 4) {
    for (let x = 0; x < whole.width; x += 4) samples.push(whole.data[y * whole.width + x]);
  }
  return { strength, noise: (noiseOf(light) * 255) / median(samples) };
}

// Returns the width of strokes: twice their area, by the length of their outline.
function thickness({ strength, noise }) {
  const level = inkLevel(noise, strength);
  if (level === null) return 1;
  const mask = maskOf(strength, (i) => strength.data[i] > level);
  const [down, across] = [erode(mask, 3, 1), erode(mask, 1, 3)];
  const outline = maskOf(mask, (i) => mask.data[i] && !(down.data[i] && across.data[i]));
  return (2 * count(mask)) / Math.max(count(outline), 1);
}

function coarser(grey, longest) {
  const factor = Math.ceil(longer(grey) / longest);
  return factor > 1 ? reduce(grey, factor) : grey;
}

function toGrey(picture) {
  const { data } = picture;
  return like(
    picture,
    (i) => (data[3 * i] * 19595 + data[3 * i + 1] * 38470 + data[3 * i + 2] * 7471 + 0x8000) >>> 16,
  );
}

function channel(picture, number) {
  return like(picture, (i) => picture.data[3 * i + number]);
}

// Returns the luminance, or the colour in which strokes stand out clearly better.
function inOneColour(picture) {
  const coarse = reduce(picture, Math.ceil(longer(picture) / COARSEST));
  const channels = [0, 1, 2].map((number) => channel(coarse, number));
  const [red, green, blue] = channels.map(({ data }) => data);
  if (red.every((value, i) => value === green[i] && value === blue[i])) return toGrey(picture);
  const clear = [toGrey(coarse), ...channels].map(clearness);
  clear[0] *= 1.15; // three channels have less noise than one
  const best = clear.indexOf(Math.max(...clear));
  return best ? channel(picture, best - 1) : toGrey(picture);
}

// Returns how far strokes stand out, in units of the noise between neighbours.
function clearness(grey) {
  const around = meanAround(grey, Math.max(3, (shorter(grey) >> 2) | 1));
  const away = like(grey, (i) => round(Math.abs(grey.data[i] - around[i])));
  return percentile(histogram(away), 0.98) / (noiseOf(grey) + 5);
}

// Returns the standard deviation of noise: from neighbours, whose paper and light are alike.
function noiseOf(grey) {
  const step = Math.floor(longer(grey) / FIBRE) || 1;
  return Math.max(difference(grey, 1), difference(grey, step));
}

function difference({ data, width, height }, step) {
  if (width <= step) return 0;
  const counts = new Float64Array(256);
  for (let y = 0; y < height; y += 2) {
    for (let i = y * width + step; i < (y + 1) * width; i++) {
      counts[Math.abs(data[i] - data[i - step])]++;
    }
  }
  const sums = cumulated(counts);
  const middle = percentile(counts, 0.5);
  const share = (sums[255] / 2 - (middle ? sums[middle - 1] : 0)) / counts[middle];
  return 1.05 * Math.max(middle - 0.5 + share, 0); // of a normal distribution
}

// Ink is what there is less of, in every neighbourhood, and what the rim of a page is not.
function isInkDark(grey) {
  const { data, width, height } = grey;
  const window = Math.max(5, (shorter(grey) >> 1) | 1);
  const around = meanAround(grey, window);
  const away = around.map((value, i) => data[i] - value);
  const spread = meanAround({ data: away.map((value) => value * value), width, height }, window);
  const usual = 0.04 * mean(spread);
  const skewness = mean(
    spread.map((value, i) => (away[i] / Math.sqrt(value + usual + 6)) ** 3),
  );
  const inset = shorter(grey) >> 4; // a frame may run along the edge itself
  const page = crop(grey, inset, inset, width - inset, height - inset);
  const rim = [];
  for (const y of [0, page.height - 1]) {
    for (let x = 0; x < page.width; x++) rim.push(page.data[y * page.width + x]);
  }
  for (const x of [0, page.width - 1]) {
    for (let y = 0; y < page.height; y++) rim.push(page.data[y * page.width + x]);
  }
  const counts = histogram(grey);
  const [low, high] = [percentile(counts, 0.01), percentile(counts, 0.99)];
  const bright = (2 * median(rim) - low - high) / Math.max(high - low, 1); // from -1 to 1
  return bright / 2 > skewness;
}

// Returns the paper's light, under strokes, too, by a closing that is wider than they are.
function paperOf(light, widest) {
  const size = Math.max(3, round(widest) | 1);
  const paper = filled(light, size);
  const around = meanAround(paper, Math.max(3, (size >> 1) | 1));
  return like(paper, (i) => round(Math.min(paper.data[i], around[i])));
}

// Returns a page with its strokes filled, and its light as it was up to the edges.
function filled(grey, size) {
  const { width, height } = grey;
  const plain = closed(grey, size, size);
  const half = size >> 1;
  const framed = crop(grey, -half, -half, width + half, height + half, true);
  const beyond = crop(closed(framed, size, size), half, half, width + half, height + half);
  return like(grey, (i) =>
    beyond.data[i] < CUT * plain.data[i] ? plain.data[i] : beyond.data[i],
  );
}
