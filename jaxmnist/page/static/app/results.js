// What was read: the string, each digit's probabilities, and what the network saw.

const ENLARGED = 3; // screen pixels that one of a network's canvas is wide

export function showResults(page, reading) {
  const lines = reading?.lines ?? [];
  page.string.replaceChildren(...lines.map(({ text }) => element("span", text)));
  page.string.classList.toggle("long", lines.some(({ text }) => text.length > 8));
  page.details.replaceChildren(...lines.map((line, i) => details(line, lines.length > 1 ? i + 1 : 0)));
  page.notes.replaceChildren(...(reading?.notes ?? []).map((note) => element("li", note)));
}

// Returns a sentence on a reading; what is read stands over it for those who see the page.
export function summary(reading) {
  if (!reading) return "Nothing is written yet.";
  if (!reading.lines.length) return "No digits are found here.";
  const unknown = reading.text.includes("?") ? " A question mark is a digit that it does not know." : "";
  return `Sure to ${percent(reading.confidence)} %.${unknown}`;
}

// Returns what is read for those who hear the page: digit by digit, and no large number.
export function spelled(reading) {
  const lines = (reading?.lines ?? []).map(({ text }) => [...text].join(" "));
  return lines.length ? `Read: ${lines.join("; ")}. ` : "";
}

function percent(share) {
  return share > 0.99 && share < 1 ? Math.floor(1000 * share) / 10 : Math.round(100 * share);
}

function details(line, number) {
  const name = number ? ` of line ${number}` : "";
  const section = element("section");
  const figure = element("figure");
  figure.append(seenCanvas(line.canvas, name), element("figcaption", `What the network saw${name}`));
  const scroller = element("div");
  scroller.className = "scroller";
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", `Probabilities${name}`);
  scroller.append(table(line, name));
  section.append(figure, scroller);
  return section;
}

function seenCanvas({ data, width, height }, name) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  canvas.style.aspectRatio = `${width} / ${height}`;
  canvas.style.width = `${ENLARGED * width}px`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `What the network saw${name}: ${width} by ${height} pixels`);
  const pixels = new ImageData(width, height);
  data.forEach((value, i) => pixels.data.set([value, value, value, 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

function table(line, name) {
  const found = element("table");
  found.append(element("caption", `Probability of each digit${name}, in percent`));
  const head = element("tr");
  head.append(element("td"));
  [...line.text].forEach((read) => head.append(header("col", read)));
  found.append(head);
  for (let digit = 0; digit < 10; digit++) {
    const row = element("tr");
    row.append(header("row", digit));
    for (const { probabilities } of line.digits) {
      const cell = element("td", percent(probabilities[digit]));
      cell.style.setProperty("--share", probabilities[digit]);
      row.append(cell);
    }
    found.append(row);
  }
  return found;
}

function header(scope, text) {
  const cell = element("th", text);
  cell.scope = scope;
  return cell;
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
