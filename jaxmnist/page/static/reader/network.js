// The networks of any length: a forward pass, canvas by canvas.
// Maps are {data, height, width, features}; the features of a pixel lie side by side.

import { SIDE } from "./canvas.js";

const [MEAN, SD] = [0.1307, 0.3081]; // of MNIST's training pixels
const [COLUMNS, PIXELS] = [64, 16]; // around a column, and around a pixel: those of `LocalContrast`
const [LEAST, LEAST_VARIANCE] = [0.2, 1e-3];
const TOGETHER = 4; // pixels of a row that are computed at once
export const CLASSES = 11; // the digits, and nothing

// Returns the logits of a canvas, CLASSES for every other column; its width is filled up with ground.
export function logits(layers, pixels) {
  const width = Math.ceil(pixels.width / SIDE) * SIDE;
  const image = new Float32Array(SIDE * width).fill(-MEAN / SD);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < pixels.width; x++) {
      image[y * width + x] = (pixels.data[y * pixels.width + x] / 255 - MEAN) / SD;
    }
  }
  let maps = spaceToDepth(localContrast(image, width), width);
  // Layers at half the image's size have as many features as the first one; then comes the pool.
  const pooled = layers.findIndex((layer) => layer.out !== layers[0].out) - 1;
  layers.forEach((layer, number) => {
    maps = convolve(maps, layer);
    if (number === pooled) maps = maxPool(maps);
    finish(maps, layer, number < layers.length - 1);
  });
  return maps.data;
}

// Makes a canvas independent of polarity, brightness and contrast; returns both features of each pixel.
function localContrast(image, width) {
  const size = image.length;
  const whole = image.reduce((a, b) => a + b, 0) / size;
  const x = Float64Array.from(image, (value) => value - whole);
  const ofColumns = new Float64Array(width);
  const squares = new Float64Array(width);
  let square = 0;
  for (let i = 0; i < size; i++) {
    ofColumns[i % width] += x[i] / SIDE;
    squares[i % width] += (x[i] * x[i]) / SIDE;
    square += (x[i] * x[i]) / size;
  }
  const mean = windowMeans(ofColumns, width, 1, COLUMNS);
  const meanSquare = windowMeans(squares, width, 1, COLUMNS);
  const near = windowMeans(windowMeans(x, SIDE, width, PIXELS), width, 1, PIXELS);
  const found = new Float32Array(2 * size);
  let skewness = 0;
  for (let i = 0; i < size; i++) {
    const column = i % width;
    const variance = Math.max(meanSquare[column] - mean[column] ** 2, 0);
    const scale = 1 / Math.sqrt(variance + LEAST ** 2 * square + LEAST_VARIANCE);
    const flat = (x[i] - near[i]) * scale;
    found[2 * i] = (x[i] - mean[column]) * scale;
    found[2 * i + 1] = flat;
    skewness += flat ** 3;
  }
  return skewness < 0 ? found.map((value) => -value) : found;
}

// Returns the mean of the values around each, along the lines of `length` places `stride` apart.
function windowMeans(values, length, stride, window) {
  const found = new Float64Array(values.length);
  const sums = new Float64Array(length + 1);
  for (let line = 0; line < values.length / length; line++) {
    const start = stride === 1 ? line * length : line;
    for (let i = 0; i < length; i++) sums[i + 1] = sums[i] + values[start + i * stride];
    for (let i = 0; i < length; i++) {
      const low = Math.max(i - window / 2, 0);
      const high = Math.min(i + window / 2, length);
      found[start + i * stride] = (sums[high] - sums[low]) / (high - low);
    }
  }
  return found;
}

// Makes blocks of two by two pixels one pixel of eight features.
function spaceToDepth(pixels, width) {
  const maps = { data: new Float32Array(pixels.length), height: SIDE / 2, width: width / 2, features: 8 };
  let to = 0;
  for (let y = 0; y < SIDE; y += 2) {
    for (let x = 0; x < width; x += 2) {
      for (let feature = 0; feature < 2; feature++) {
        for (const [down, across] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
          maps.data[to++] = pixels[2 * ((y + down) * width + x + across) + feature];
        }
      }
    }
  }
  return maps;
}

// Convolves with stride 1; a kernel of all rows takes the height away, others keep the size.
function convolve(maps, { kernel, rows, columns, out }) {
  const { data, height, width, features } = maps;
  const [down, side] = [rows === height ? 0 : rows >> 1, columns >> 1];
  const newHeight = height + 2 * down - rows + 1;
  const found = new Float32Array(newHeight * width * out);
  const framedWidth = width + 2 * side + TOGETHER;
  const framed = new Float32Array((height + 2 * down) * framedWidth * features);
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width * features, (y + 1) * width * features);
    framed.set(row, ((y + down) * framedWidth + side) * features);
  }
  // What belongs to the same row of the kernel lies side by side in the framed map.
  const span = columns * features;
  const sums = new Float64Array(TOGETHER * out);
  for (let y = 0; y < newHeight; y++) {
    for (let x = 0; x < width; x += TOGETHER) {
      sums.fill(0);
      for (let row = 0; row < rows; row++) {
        const from = ((y + row) * framedWidth + x) * features;
        addProducts(sums, framed, from, features, kernel, row * span * out, span, out);
      }
      const pixels = Math.min(TOGETHER, width - x);
      found.set(sums.subarray(0, pixels * out), (y * width + x) * out);
    }
  }
  return { data: found, height: newHeight, width, features: out };
}

// Adds products to the sums of four neighbours: a weight is fetched once for all of them.
function addProducts(sums, values, from, features, kernel, start, span, out) {
  for (let i = 0; i < span; i++) {
    const a = values[from + i];
    const b = values[from + features + i];
    const c = values[from + 2 * features + i];
    const d = values[from + 3 * features + i];
    if (a === 0 && b === 0 && c === 0 && d === 0) continue;
    const first = start + i * out;
    for (let o = 0; o < out; o++) {
      const weight = kernel[first + o];
      sums[o] += a * weight;
      sums[out + o] += b * weight;
      sums[2 * out + o] += c * weight;
      sums[3 * out + o] += d * weight;
    }
  }
}

function maxPool({ data, height, width, features }) {
  const [down, across] = [height / 2, width / 2];
  const found = new Float32Array(down * across * features);
  const stride = width * features;
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      for (let feature = 0; feature < features; feature++) {
        const i = 2 * y * stride + 2 * x * features + feature;
        const top = Math.max(data[i], data[i + features]);
        const low = Math.max(data[i + stride], data[i + stride + features]);
        found[(y * across + x) * features + feature] = Math.max(top, low);
      }
    }
  }
  return { data: found, height: down, width: across, features };
}

// Scales the sums of a convolution in place, and leaves out what is below 0.
function finish({ data, features }, { factor, bias }, isHidden) {
  const least = isHidden ? 0 : -Infinity;
  for (let i = 0; i < data.length; i += features) {
    for (let o = 0; o < features; o++) {
      data[i + o] = Math.max(data[i + o] * factor[o] + bias[o], least);
    }
  }
}
