// A picture as the browser has it, RGBA, brought to colours without transparency.

import { reduce } from "./resample.js";

const LONGEST = 800; // pixels of the longer side that writing is looked for at

// Returns {data, width, height, channels, scale}: a pixel is `scale` of the original's wide.
export function toPicture({ data, width, height }) {
  const factor = Math.ceil(Math.max(width, height) / LONGEST);
  let sheet = { data, width, height, channels: 4 };
  // Of an opaque picture both give the same, and most are opaque.
  if (factor > 1) sheet = (isOpaque(data) ? reduce : reducedByAlpha)(sheet, factor);
  return { ...sheet, data: onPaper(sheet.data), channels: 3, scale: factor };
}

function isOpaque(rgba) {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] !== 255) return false;
  return true;
}

function onPaper(rgba) {
  const paper = inkIsDark(rgba) ? 255 : 0;
  const plain = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    const share = rgba[from + 3] * 128;
    for (let channel = 0; channel < 3; channel++) {
      const value = rgba[from + channel] * share + paper * (255 * 128 - share) + 128 * 128;
      plain[to + channel] = ((value >>> 8) + value) >>> 15;
    }
  }
  return plain;
}

// What is under a picture is what its ink stands out from.
function inkIsDark(rgba) {
  let light = 0;
  let whole = 0;
  for (let i = 0; i < rgba.length; i += 4) {
    light += ((rgba[i] + rgba[i + 1] + rgba[i + 2]) / 3) * rgba[i + 3];
    whole += rgba[i + 3];
  }
  return light / Math.max(whole, 1) < 128;
}

// Colours count as much as they are seen.
function reducedByAlpha({ data: rgba, ...size }, factor) {
  const products = Uint8Array.from(rgba, (value, i) => {
    const product = value * rgba[i | 3] + 128;
    return i % 4 === 3 ? value : ((product >> 8) + product) >> 8;
  });
  const reduced = reduce({ ...size, data: products }, factor);
  const data = reduced.data.map((value, i) => {
    const alpha = reduced.data[i | 3];
    const isWhole = i % 4 === 3 || alpha === 0 || alpha === 255;
    return isWhole ? value : Math.min(Math.floor((255 * value) / alpha), 255);
  });
  return { ...reduced, data };
}
