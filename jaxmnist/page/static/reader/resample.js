// Pictures made smaller and larger as Pillow does it, to the last bit: `Image.reduce` and `resize`.

const PRECISION = 22; // bits behind the point of a weight
const HALF = 2 ** (PRECISION - 1);

// Returns the mean of blocks of `factor` x `factor` pixels; those at the edges may be smaller.
export function reduce({ data, width, height, channels = 1 }, factor) {
  const [across, down] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const found = new Uint8Array(across * down * channels);
  for (let y = 0; y < down; y++) {
    const bottom = Math.min((y + 1) * factor, height);
    for (let x = 0; x < across; x++) {
      const right = Math.min((x + 1) * factor, width);
      const n = (bottom - y * factor) * (right - x * factor);
      const multiplier = Math.floor(Math.fround(2 ** 32 / (256 * n)));
      for (let channel = 0; channel < channels; channel++) {
        let total = n >> 1;
        for (let row = y * factor; row < bottom; row++) {
          for (let column = x * factor; column < right; column++) {
            total += data[(row * width + column) * channels + channel];
          }
        }
        found[(y * across + x) * channels + channel] = Math.imul(total, multiplier) >>> 24;
      }
    }
  }
  return { data: found, width: across, height: down, channels };
}

// Resizes a part [left, top, right, bottom] of a grey picture, by a triangle: bilinear, and
// without aliases where it gets smaller.
export function resize(image, width, height, box = [0, 0, image.width, image.height]) {
  const [left, top, right, bottom] = box.map(Math.fround);
  let { data, width: across } = image;
  let down = image.height;
  if (width !== across || left || right !== across) {
    data = alongRows(data, across, down, weights(across, left, right, width));
    across = width;
  }
  if (height !== down || top || bottom !== down) {
    data = alongColumns(data, across, weights(down, top, bottom, height));
    down = height;
  }
  return { data: data === image.data ? data.slice() : data, width: across, height: down };
}

// Returns for each new pixel the first old one that it is made of, and the weights of these.
function weights(size, start, stop, newSize) {
  const scale = Math.fround(stop - start) / newSize;
  const reach = Math.max(scale, 1);
  return Array.from({ length: newSize }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const last = Math.min(Math.trunc(centre + reach + 0.5), size);
    const shares = [];
    let total = 0;
    for (let x = first; x < last; x++) {
      const share = Math.max(1 - Math.abs((x - centre + 0.5) * (1 / reach)), 0);
      shares.push(share);
      total += share;
    }
    const whole = shares.map((share) => {
      const part = total ? share / total : share;
      return Math.trunc(0.5 + part * 2 ** PRECISION);
    });
    return { first, whole };
  });
}

function alongRows(data, width, height, pixels) {
  const found = new Uint8Array(pixels.length * height);
  pixels.forEach(({ first, whole }, x) => {
    for (let y = 0; y < height; y++) {
      let total = HALF;
      for (let i = 0; i < whole.length; i++) total += data[y * width + first + i] * whole[i];
      found[y * pixels.length + x] = total >> PRECISION;
    }
  });
  return found;
}

function alongColumns(data, width, pixels) {
  const found = new Uint8Array(width * pixels.length);
  pixels.forEach(({ first, whole }, y) => {
    for (let x = 0; x < width; x++) {
      let total = HALF;
      for (let i = 0; i < whole.length; i++) total += data[(first + i) * width + x] * whole[i];
      found[y * width + x] = total >> PRECISION;
    }
  });
  return found;
}
