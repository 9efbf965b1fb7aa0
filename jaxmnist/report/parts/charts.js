// The charts, by Vega-Lite: a function each, from the runs that are shown to a specification.
const MOST_POINTS = 6000; // of all curves together
const COLOURS = 12; // runs or values that have a colour and a place in the legend

function theme() {
  // What light-dark() gives is only known where it is used.
  const ink = getComputedStyle(document.body).color;
  const quiet = getComputedStyle(at("status")).color;
  return {
    background: null, font: "system-ui, sans-serif", view: { stroke: null },
    axis: { labelColor: quiet, titleColor: ink, gridColor: quiet, gridOpacity: 0.2, domainColor: quiet, tickColor: quiet, titleFontWeight: "normal" },
    legend: { labelColor: ink, titleColor: ink, labelLimit: 240, symbolLimit: COLOURS + 1, symbolOpacity: 1, orient: "right" },
    text: { color: ink },
  };
}

function colour(runs) {
  const column = called(state.colour) ?? columns[0];
  const values = new Set(runs.map(r => plain(column.get(r))));
  const legend = values.size > 1 ? { title: column.name } : null;
  if (values.size > COLOURS && !column.number) return { of: () => "", channel: { value: "#0969da" } };
  const numbers = column.number && values.size > COLOURS;
  // Named, or a chart whose layers begin with different runs would give them other colours.
  const domain = [...new Set(data.runs.map(r => plain(column.get(r))))].filter(v => values.has(v));
  const scale = numbers ? { scheme: "viridis" } : { domain, scheme: values.size > 10 ? "tableau20" : "tableau10" };
  return {
    of: r => numbers ? column.get(r) : plain(column.get(r)),
    channel: { field: "c", type: numbers ? "quantitative" : "nominal", legend: numbers ? { title: column.name } : legend, scale, sort: null },
  };
}

const tooltip = (...fields) => fields.map(([field, title, format]) => ({ field, title, format, type: format ? "quantitative" : "nominal" }));
const faint = runs => runs.length > 50 ? 0.35 : 0.9;

function sample(length, most) {
  if (length <= most) return [...Array(length).keys()];
  return [...Array(most).keys()].map(i => Math.round(i * (length - 1) / (most - 1)));
}

function curves(runs) {
  const c = colour(runs), most = Math.max(8, Math.floor(MOST_POINTS / runs.length)), log = state.log === "1";
  const values = [];
  for (const r of runs) {
    const { epoch, [state.curve]: y, [state.curve + "_low"]: low, [state.curve + "_high"]: high } = r.curves;
    for (const i of sample(epoch.length, most)) {
      if (y[i] === null) continue;
      const point = { run: r.run, c: c.of(r), x: epoch[i], y: y[i], exact: y[i] };
      if (low) [point.low, point.high] = [low[i], high[i]];
      values.push(point);
    }
  }
  if (!values.length) return null;
  const name = at("curve").selectedOptions[0].textContent;
  const perfect = log && values.some(v => v.y <= 0);
  if (log) { // a perfect epoch has its place, too, below the smallest other value
    const floor = values.reduce((least, v) => v.y > 0 ? Math.min(least, v.y, v.low || v.y) : least, Infinity) / 2;
    for (const v of values) for (const end of ["y", "low", "high"]) if (v[end] <= 0) v[end] = Number.isFinite(floor) ? floor : 1;
  }
  const title = perfect ? `${name}; lowest line: 0` : name;
  const y = { field: "y", type: "quantitative", title, scale: log ? { type: "log", nice: false } : { zero: false } };
  const x = { field: "x", type: "quantitative", title: "epoch", axis: { tickMinStep: 1 }, scale: { zero: false, nice: false } };
  const line = {
    mark: { type: "line", strokeWidth: runs.length > 50 ? 1 : 2, opacity: faint(runs), point: runs.length <= COLOURS && { size: 22 } },
    encoding: { x, y, color: c.channel, detail: { field: "run" }, tooltip: tooltip(["run"], ["x", "epoch"], ["exact", name, ".4~g"]) },
  };
  const band = {
    transform: [{ filter: "isValid(datum.low)" }], mark: { type: "area", opacity: 0.15, tooltip: false },
    encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: c.channel, detail: { field: "run" } },
  };
  const banded = values.some(v => "low" in v);
  return { height: 350, data: { values }, ...(banded ? { layer: [band, line] } : line) };
}

function suites(runs) {
  const c = colour(runs), values = [];
  for (const r of runs) for (const [suite, [error, sd]] of Object.entries(r.suites)) {
    values.push({ run: r.run, c: c.of(r), suite, error, sd });
  }
  if (!values.length) return null;
  const names = [...new Set(values.map(v => v.suite))];
  return {
    height: Math.max(300, 20 * names.length), data: { values },
    mark: { type: "tick", thickness: 3, opacity: faint(runs) },
    encoding: {
      x: { field: "error", type: "quantitative", title: "read wrong (%)", scale: { type: "symlog", constant: 1 }, axis: { tickCount: 8 } },
      y: { field: "suite", type: "nominal", sort: names, title: null },
      color: c.channel, tooltip: tooltip(["run"], ["suite"], ["error", "read wrong (%)", ".2f"], ["sd", "sd", ".2f"]),
    },
  };
}

function sizes(runs) {
  const c = colour(runs);
  const values = runs.filter(r => r.error !== null && r.params)
    .map(r => ({ run: r.run, c: c.of(r), params: r.params, error: Math.max(r.error, 0.01), recipe: r.name }));
  if (!values.length) return null;
  return {
    height: 300, data: { values }, mark: { type: "point", filled: true, size: 70, opacity: faint(runs) },
    encoding: {
      x: { field: "params", type: "quantitative", title: "parameters", scale: { type: "log", nice: true }, axis: { format: "~s", tickCount: 6 } },
      y: { field: "error", type: "quantitative", title: "error (%), clean suite", scale: { type: "log", nice: true } },
      color: c.channel, tooltip: tooltip(["run"], ["recipe"], ["params", "parameters", ",d"], ["error", "error (%)", ".2f"]),
    },
  };
}

function calibration(runs) {
  const c = colour(runs), values = [];
  for (const r of runs) for (const [sure, right, n] of r.calibration ?? []) values.push({ run: r.run, c: c.of(r), sure, right, n });
  if (!values.length) return null;
  const percent = { format: ".0%" };
  // Where answers are sure, all happens in a corner.
  const lowest = Math.floor(9.99 * Math.min(...values.map(v => Math.min(v.sure, v.right)))) / 10;
  const scale = { domain: [lowest, 1], zero: false };
  return {
    height: 300,
    layer: [
      { data: { values: [{ sure: lowest, right: lowest }, { sure: 1, right: 1 }] }, mark: { type: "line", strokeDash: [4, 4], color: "#8c959f", strokeWidth: 1 },
        encoding: { x: { field: "sure", type: "quantitative", scale }, y: { field: "right", type: "quantitative", scale } } },
      { data: { values }, mark: { type: "line", point: runs.length <= COLOURS && { size: 30 }, opacity: faint(runs), strokeWidth: runs.length > 50 ? 1 : 2 },
        encoding: {
          x: { field: "sure", type: "quantitative", title: "confidence", axis: percent, scale },
          y: { field: "right", type: "quantitative", title: "right", axis: percent, scale },
          color: c.channel, detail: { field: "run" },
          tooltip: tooltip(["run"], ["sure", "confidence", ".1%"], ["right", "right", ".1%"], ["n", "examples", ",d"]),
        } },
    ],
  };
}

function confusion(runs, run) {
  if (!run?.confusion) return null;
  const names = [..."0123456789", "nothing"], values = [];
  // A classifier knows no nothing.
  const nothing = run.confusion[10].some(Boolean) || run.confusion.some(row => row[10]);
  const shown = nothing ? 11 : 10;
  run.confusion.slice(0, shown).forEach((row, is) => {
    const all = row.reduce((a, b) => a + b, 0) || 1;
    row.slice(0, shown).forEach((n, read) => values.push({
      is: names[is], read: names[read], n, share: n / all, wrong: is === read || !n ? null : n / all,
    }));
  });
  const axis = { type: "nominal", sort: names, axis: { labelAngle: 0, domain: false, ticks: false } };
  return {
    height: 320, data: { values },
    encoding: { x: { field: "read", title: "read as", ...axis }, y: { field: "is", title: "is", ...axis } },
    layer: [
      { mark: { type: "rect", invalid: null }, encoding: {
        color: { field: "wrong", type: "quantitative", legend: null, scale: { range: ["#fff1e5", "#fb8f44"], type: "sqrt" } },
        opacity: { condition: { test: "datum.wrong > 0", value: 1 }, value: 0 },
        tooltip: tooltip(["is"], ["read", "read as"], ["n", "examples", ",d"], ["share", "share", ".2%"]) } },
      { transform: [{ filter: "datum.n > 0" }], mark: { type: "text", fontSize: 11 }, encoding: { text: { field: "n", format: ",d", type: "quantitative" },
        color: { condition: { test: "datum.wrong > 0", value: "#1f2328" }, value: theme().axis.labelColor } } },
    ],
  };
}

function drawMistakes(run) {
  const box = at("mistakes");
  if (!run?.pictures) {
    box.innerHTML = `<p class="empty">${run?.mistakes ? (run.error ? "The pictures are those of another member of this population." : "Nothing of the clean suite was misread.") : "Known when the run has ended (and not of older versions)."}</p>`;
    return;
  }
  const { width, png } = run.pictures, scale = width > 60 ? 2 : 3;
  box.innerHTML = run.mistakes.map(([read, is, sure, example], place) => `<figure>
    <div class="picture" role="img" aria-label="reads ${escape(read)}, is ${escape(is)}" style="width:${width * scale}px;height:${28 * scale}px;
      background-size:${width * scale}px;background-position:0 ${-28 * scale * place}px" title="example ${example}"></div>
    <figcaption><span class="wrong">${escape(read)}</span>, not ${escape(is)}<br>${(100 * sure).toFixed(1)} %</figcaption></figure>`).join("");
  for (const picture of box.querySelectorAll(".picture")) picture.style.backgroundImage = `url(${png})`;
}
