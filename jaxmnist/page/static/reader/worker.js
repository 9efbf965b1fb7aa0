// The reader beside the page: what is drawn stays smooth while it reads.

import { read } from "./read.js";
import { unpackWeights } from "./weights.js";

const MOST_PIXELS = 16_000_000; // of a picture that is opened whole: telephones hold no larger one
const PREVIEW = 800; // pixels of the longer side that the page shows
let layers = null;

self.onmessage = async ({ data: { id, kind, given } }) => {
  try {
    const answer = await (kind === "weights" ? useWeights(given) : readAny(given));
    self.postMessage({ id, answer }, answer.preview ? [answer.preview] : []);
  } catch (error) {
    self.postMessage({ id, message: error instanceof Refusal ? error.message : String(error) });
  }
};

class Refusal extends Error {}

async function useWeights(given) {
  const found = await unpackWeights(given);
  layers = found.layers;
  return { name: found.name };
}

// Reads pixels, or a picture's file, with a smaller picture of it to be shown.
async function readAny(given) {
  if (!(given instanceof Blob)) return { reading: read(layers, given) };
  const { pixels, scale, preview } = await open(given);
  const reading = read(layers, pixels);
  for (const line of reading.lines) {
    line.box = line.box.map((edge) => edge * scale);
    for (const digit of line.digits) digit.box = digit.box.map((edge) => edge * scale);
  }
  return { reading, preview };
}

async function open(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Refusal("This is no picture that your browser can open: use a PNG or JPEG file.");
  }
  const scale = Math.ceil(Math.sqrt((bitmap.width * bitmap.height) / MOST_PIXELS));
  const canvas = drawn(bitmap, 1 / scale);
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const share = Math.min(PREVIEW / Math.max(bitmap.width, bitmap.height), 1);
  const preview = drawn(bitmap, share).transferToImageBitmap();
  bitmap.close();
  return { pixels, scale, preview };
}

function drawn(bitmap, scale) {
  const width = Math.max(Math.round(bitmap.width * scale), 1);
  const height = Math.max(Math.round(bitmap.height * scale), 1);
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0, width, height);
  return canvas;
}
