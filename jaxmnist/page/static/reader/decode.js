// Strings from the logits of columns, with what their confidences are: CTC.

import { CLASSES } from "./network.js";

const BLANK = 10;

// Returns {digits, confidence}; a digit is {digit, confidence, first, last, probabilities}.
export function decode(logits) {
  const columns = [];
  for (let i = 0; i < logits.length; i += CLASSES) {
    columns.push(logProbs(Array.from(logits.subarray(i, i + CLASSES))));
  }
  const digits = [];
  let before = BLANK;
  columns.forEach((column, place) => {
    const label = column.indexOf(Math.max(...column));
    const confidence = Math.exp(column[label]);
    if (label !== BLANK && label !== before) {
      digits.push({ digit: label, confidence: 0, first: place, last: place, probabilities: [] });
    }
    if (label !== BLANK) {
      const last = digits[digits.length - 1];
      last.last = place;
      if (confidence > last.confidence) {
        last.confidence = confidence;
        last.probabilities = column.slice(0, BLANK).map(Math.exp);
      }
    }
    before = label;
  });
  return { digits, confidence: probability(columns, digits.map(({ digit }) => digit)) };
}

function logProbs(column) {
  const most = Math.max(...column);
  const total = Math.log(column.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return column.map((value) => value - most - total);
}

// Returns the probability of a string, over all ways to spread it on the columns.
function probability(columns, string) {
  // Between the digits, and at both ends, stand blanks, which may be left out between two that
  // differ (Graves et al., 2006, section 4.1).
  const states = [BLANK, ...string.flatMap((digit) => [digit, BLANK])];
  let ahead = states.map((state, i) => (i < 2 ? columns[0][state] : -Infinity));
  for (const column of columns.slice(1)) {
    ahead = states.map((state, i) => {
      const skips = i > 1 && state !== BLANK && state !== states[i - 2];
      const before = [ahead[i], ahead[i - 1] ?? -Infinity, skips ? ahead[i - 2] : -Infinity];
      return logSumExp(before) + column[state];
    });
  }
  return Math.exp(logSumExp(ahead.slice(-2)));
}

function logSumExp(values) {
  const most = Math.max(...values);
  if (most === -Infinity) return most;
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}
