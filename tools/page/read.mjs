// Reads pictures with the code of the page, outside a browser: `node read.mjs WEIGHTS`.
// Takes from stdin, for each, width and height (uint32) and RGBA; prints a JSON object for each.

import { readFileSync } from "node:fs";

import { logits } from "../../jaxmnist/page/static/reader/network.js";
import { look, readSeen } from "../../jaxmnist/page/static/reader/read.js";
import { unpackWeights } from "../../jaxmnist/page/static/reader/weights.js";

const { layers } = await unpackWeights(readFileSync(process.argv[2]));
const given = readFileSync(0);
for (let start = 0; start < given.length; ) {
  const [width, height] = [given.readUInt32LE(start), given.readUInt32LE(start + 4)];
  const size = 4 * width * height;
  const data = new Uint8ClampedArray(given.subarray(start + 8, start + 8 + size));
  start += 8 + size;
  const seen = look({ data, width, height });
  const canvases = seen.canvases.map(({ pixels }) => ({
    width: pixels.width,
    pixels: Buffer.from(pixels.data).toString("base64"),
    logits: Buffer.from(logits(layers, pixels).buffer).toString("base64"),
  }));
  console.log(JSON.stringify({ ...readSeen(layers, seen), canvases }));
}
