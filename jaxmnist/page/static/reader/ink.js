// Ink found on paper: how strong it is at each pixel, whatever the light, the paper and the pen.

import { closed, count, crop, erode, maskOf, meanAround } from "./morphology.js";
import { cumulated, histogram, mean, median, percentile, round } from "./numbers.js";
import { reduce, resize } from "./resample.js";

const [PAPER_SIDE, PAGE_SIDE] = [200, 100]; // longer side, in pixels, at which paper and polarity are judged
const WIDEST_STROKE = 0.35; // width of a stroke, as a part of the shorter side, at most
const STROKES_AROUND = 4; // widths of a stroke in the window in which paper is looked for
const LEAST_LIGHT = 0.8; // of the filled paper: what is darker at an edge is a stroke that the edge cuts
const NOISE_STEPS = 100; // parts of the longer side: over one of them, too, noise is measured
const FAINTEST_INK = 10; // strength, of 255
const PAPER_STRENGTH = 64; // strength that paper stays below, with its fibres
const POLARITY_WINDOWS = [2, 4, 6]; // parts of the shorter side: windows in which polarity is judged
const RIM_WEIGHT = 0.4; // skewness that counts as much as a rim which is all paper
const LIGHTEST_PAPER = 0.98; // quantile of the paper's light that stands for the lightest
const DIMMEST_PAPER = 0.3; // of the lightest paper: what is darker is a table beside the page
const DARKEST_PAPER = 20; // light, of 255: in black corners ink cannot be seen

// Chooses the colour in which ink stands out, and its polarity.
export function toPage(picture) {
  const grey = inOneColour(picture);
  const inkIsDark = isInkDark(coarser(grey, PAGE_SIDE));
  return { light: inkIsDark ? grey : like(grey, (i) => 255 - grey.data[i]), inkIsDark };
}

// Finds ink, {strength, noise}: what is darker than the paper around it.
export function findInk({ light, inkIsDark }) {
  const coarse = coarser(light, PAPER_SIDE);
  const dim = inkIsDark ? DIMMEST_PAPER : 0; // a table is darker than a page, seldom than a board
  const width = thickness(inkOn(coarse, paperOf(coarse, WIDEST_STROKE * shorter(coarse)), dim));
  const paper = paperOf(coarse, Math.min(STROKES_AROUND * width + 2, longer(coarse)));
  return inkOn(light, resize(paper, light.width, light.height), dim);
}

// Returns the strength above which there is ink; null: there is no ink.
export function inkLevel(noise, strength) {
  const counts = histogram(strength).fill(0, 0, Math.trunc(Math.max(3 * noise, FAINTEST_INK / 2)) + 1);
  const sums = cumulated(counts);
  if (sums[255] < 4 || !counts.subarray(FAINTEST_INK).some(Boolean)) return null;
  const parts = Math.min(otsu(counts, sums), 0.5 * percentile(counts, 0.97));
  return Math.trunc(Math.max(0.25 * parts, Math.min(5 * noise, 0.8 * parts), FAINTEST_INK));
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
function inkOn(light, paper, dim) {
  const darkest = Math.max(DARKEST_PAPER, round(dim * percentile(histogram(paper, 4), LIGHTEST_PAPER)));
  const whole = like(paper, (i) => Math.max(paper.data[i], darkest));
  const strength = like(light, (i) => {
    const left = Math.floor((light.data[i] * 255 + (whole.data[i] >> 1)) / whole.data[i]);
    return 255 - Math.min(left, 255);
  });
  const counts = histogram(strength, 2);
  const sums = cumulated(counts);
  if (sums[PAPER_STRENGTH - 1] > 0.1 * sums[255]) counts.fill(0, PAPER_STRENGTH); // there may be more table than paper
  const least = percentile(counts, 0.5);
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
  const coarse = reduce(picture, Math.ceil(longer(picture) / PAGE_SIDE));
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
  const step = Math.floor(longer(grey) / NOISE_STEPS) || 1;
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
  const { width, height } = grey;
  const skewnesses = POLARITY_WINDOWS.map((part) =>
    skewnessOf(grey, Math.max(5, Math.floor(shorter(grey) / part) | 1)),
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
  return RIM_WEIGHT * bright > skewnesses.reduce((a, b) => a + b);
}

// Returns how far few pixels are much lighter than their neighbours; negative: darker.
function skewnessOf(grey, window) {
  const { data, width, height } = grey;
  const around = meanAround(grey, window);
  const away = around.map((value, i) => data[i] - value);
  const spread = meanAround({ data: away.map((value) => value * value), width, height }, window);
  const usual = 0.04 * mean(spread);
  return mean(spread.map((value, i) => (away[i] / Math.sqrt(value + usual + 6)) ** 3));
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
    beyond.data[i] < LEAST_LIGHT * plain.data[i] ? plain.data[i] : beyond.data[i],
  );
}
