// Sums, medians and roundings as NumPy has them, to the last bit.

// Rounds to the nearest whole number, halves to the even one.
export function round(x) {
  const low = Math.floor(x);
  const rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

// Adds numbers pairwise: their order says how the sum is rounded.
export function sum(values, start = 0, count = values.length) {
  if (count < 8) {
    let total = 0;
    for (let i = start; i < start + count; i++) total += values[i];
    return total;
  }
  if (count > 128) {
    const half = Math.floor(count / 2);
    const first = half - (half % 8);
    return sum(values, start, first) + sum(values, start + first, count - first);
  }
  const part = Array.from(values.subarray(start, start + 8));
  const whole = count - (count % 8);
  for (let i = 8; i < whole; i += 8) {
    for (let j = 0; j < 8; j++) part[j] += values[start + i + j];
  }
  let total =
    part[0] + part[1] + (part[2] + part[3]) + (part[4] + part[5] + (part[6] + part[7]));
  for (let i = whole; i < count; i++) total += values[start + i];
  return total;
}

export function mean(values) {
  return sum(values) / values.length;
}

export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// Returns the place of the first value that is not below one (or, from the right, that is above it).
export function searchSorted(sorted, value, isRight = false) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value || (isRight && sorted[middle] === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Returns how often each level occurs, of every `step`-th row and column.
export function histogram(image, step = 1) {
  const counts = new Float64Array(256);
  for (let y = 0; y < image.height; y += step) {
    for (let x = 0; x < image.width; x += step) counts[image.data[y * image.width + x]]++;
  }
  return counts;
}

export function cumulated(values) {
  const sums = new Float64Array(values.length);
  let total = 0;
  for (let i = 0; i < values.length; i++) sums[i] = total += values[i];
  return sums;
}

// Returns the smallest level that a share of all pixels does not exceed.
export function percentile(counts, share) {
  const sums = cumulated(counts);
  return searchSorted(sums, share * sums[sums.length - 1]);
}

export function clamp(x, low, high) {
  return Math.min(Math.max(x, low), high);
}
