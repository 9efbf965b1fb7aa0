// A picture as the browser has it, RGBA, brought to colours without transparency.

import { reduce } from "./resample.js";

const LONGEST = 800; // pixels of the longer side that writing is looked for at

// Returns {data, width, height, channels, scale}: a pixel is `scale` of the original's wide.
export function toPicture({ data, width, height }) {
  const factor = Math.ceil(Math.max(width, height) / LONGEST);
  const plain = { data: withoutAlpha(data, width, height, factor), width, height, channels: 3 };
  return { ...(factor > 1 ? reduce(plain, factor) : plain), scale: factor };
}

function withoutAlpha(rgba, width, height, factor) {
  let isOpaque = true;
  for (let i = 3; i < rgba.length && isOpaque; i += 4) isOpaque = rgba[i] === 255;
  const paper = isOpaque || inkIsDark(rgba, width, height, factor) ? 255 : 0;
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
function inkIsDark(rgba, width, height, factor) {
  const seen = factor > 1 ? reducedByAlpha(rgba, width, height, factor) : rgba;
  let light = 0;
  let whole = 0;
  for (let i = 0; i < seen.length; i += 4) {
    light += ((seen[i] + seen[i + 1] + seen[i + 2]) / 3) * seen[i + 3];
    whole += seen[i + 3];
  }
  return light / Math.max(whole, 1) < 128;
}

// Colours count as much as they are seen.
function reducedByAlpha(rgba, width, height, factor) {
  const products = Uint8Array.from(rgba, (value, i) => {
    const product = value * rgba[i | 3] + 128;
    return i % 4 === 3 ? value : ((product >> 8) + product) >> 8;
  });
  const { data } = reduce({ data: products, width, height, channels: 4 }, factor);
  return data.map((value, i) => {
    const alpha = data[i | 3];
    const isWhole = i % 4 === 3 || alpha === 0 || alpha === 255;
    return isWhole ? value : Math.min(Math.floor((255 * value) / alpha), 255);
  });
}
