// Neighbourhoods of pixels in pictures {data, width, height}: what is largest, smallest or the mean.
// Windows are centred, of odd sizes, and end at the edges of the picture; masks hold 0 and 1.

export function newMask(like) {
  return { data: new Uint8Array(like.data.length), width: like.width, height: like.height };
}

// Makes a mask of the pixels, each by its number, that a test accepts.
export function maskOf(like, test) {
  const mask = newMask(like);
  for (let i = 0; i < mask.data.length; i++) mask.data[i] = test(i) ? 1 : 0;
  return mask;
}

export function count(mask) {
  let total = 0;
  for (let i = 0; i < mask.data.length; i++) total += mask.data[i];
  return total;
}

// Returns a part of a picture; what lies outside it is 0, or what is at its edge.
export function crop(image, left, top, right, bottom, repeatsEdge = false) {
  const [width, height] = [right - left, bottom - top];
  const data = new image.data.constructor(width * height);
  const [first, last] = [Math.max(left, 0), Math.min(right, image.width)];
  for (let y = 0; y < height; y++) {
    let row = y + top;
    if (repeatsEdge) row = Math.min(Math.max(row, 0), image.height - 1);
    if (row < 0 || row >= image.height || last <= first) continue;
    const start = row * image.width;
    data.set(image.data.subarray(start + first, start + last), y * width + first - left);
    if (!repeatsEdge) continue;
    data.fill(image.data[start], y * width, y * width + first - left);
    data.fill(image.data[start + last - 1], y * width + last - left, (y + 1) * width);
  }
  return { data, width, height };
}

export function transposed(image) {
  const { width, height } = image;
  const data = new image.data.constructor(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data[x * height + y] = image.data[y * width + x];
  }
  return { data, width: height, height: width };
}

// Returns the largest value in a window around each pixel.
export function dilate(image, rows, columns) {
  return overWindows(image, rows, columns, true);
}

// Returns the smallest value in a window around each pixel.
export function erode(image, rows, columns) {
  return overWindows(image, rows, columns, false);
}

export function opened(mask, rows, columns) {
  return dilate(erode(mask, rows, columns), rows, columns);
}

export function closed(image, rows, columns) {
  return erode(dilate(image, rows, columns), rows, columns);
}

function overWindows(image, rows, columns, isLargest) {
  const { width, height } = image;
  let { data } = image;
  if (rows > 1) data = overAxis(data, height, width, 1, rows, isLargest);
  if (columns > 1) data = overAxis(data, width, 1, height, columns, isLargest);
  return { data: data === image.data ? data.slice() : data, width, height };
}

// Goes over `length` places that lie `stride` apart, in each of `lines` lines of the picture.
function overAxis(data, length, stride, lines, size, isLargest) {
  const half = size >> 1;
  const line = (length + 2 * half) * stride;
  const framed = new Uint8Array(lines * line).fill(isLargest ? 0 : 255);
  for (let i = 0; i < lines; i++) {
    framed.set(data.subarray(i * length * stride, (i + 1) * length * stride), i * line + half * stride);
  }
  // A window of twice the size is two windows. What runs on into the next line is cut off below.
  for (let reach = 1; reach < size; ) {
    const step = Math.min(reach, size - reach);
    const away = step * stride;
    const end = framed.length - away;
    if (isLargest) {
      for (let i = 0; i < end; i++) if (framed[i + away] > framed[i]) framed[i] = framed[i + away];
    } else {
      for (let i = 0; i < end; i++) if (framed[i + away] < framed[i]) framed[i] = framed[i + away];
    }
    reach += step;
  }
  const found = new Uint8Array(data.length);
  for (let i = 0; i < lines; i++) {
    found.set(framed.subarray(i * line, i * line + length * stride), i * length * stride);
  }
  return found;
}

// Returns the mean of a window around each pixel, of the pixels that exist.
export function meanAround({ data, width, height }, size) {
  const rows = meanAlong(data, height, width, size, width, 1);
  return meanAlong(rows, width, height, size, 1, width);
}

function meanAlong(data, length, lines, size, step, stride) {
  const found = new Float64Array(data.length);
  const half = Math.floor(size / 2);
  const sums = new Float64Array(length + 1);
  for (let line = 0; line < lines; line++) {
    const start = line * stride;
    for (let i = 0; i < length; i++) sums[i + 1] = sums[i] + data[start + i * step];
    for (let i = 0; i < length; i++) {
      const low = Math.max(i - half, 0);
      const high = Math.min(i + half + 1, length);
      found[start + i * step] = (sums[high] - sums[low]) / (high - low);
    }
  }
  return found;
}
