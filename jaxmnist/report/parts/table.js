// The table of runs: columns, sorting, filter. State lives in the address, so that a reload keeps it.
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const escape = text => String(text).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
const plain = value => value === null || value === undefined ? "" : String(value);

const state = { sort: "error", down: "", filter: "", colour: "", curve: "validation_error", log: "1", run: "", pinned: "" };
for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (name in state) state[name] = value;
const remember = () => history.replaceState(null, "", "#" + new URLSearchParams(state));

const fixed = digits => value => Number.isFinite(value) ? value.toFixed(digits) : "";
const whole = value => Number.isFinite(value) ? value.toLocaleString("en") : "";
// In what the runs differ stands beside the error, if it is little, and else behind all else.
const fields = data.fields.map(name => ({ name, field: true, get: r => r.fields[name] }));
const FEW = 3;
const columns = [
  { name: "run", get: r => r.run },
  { name: "recipe", get: r => r.name },
  { name: "model", get: r => r.model },
  { name: "digits", get: r => r.data },
  { name: "parameters", get: r => r.params, show: whole },
  { name: "epochs", get: r => r.epochs, show: (v, r) => r.finished ? v : `${v} of ${r.planned}` },
  { name: "seeds", get: r => r.seeds, show: whole },
  { name: "error", get: r => r.error, show: (v, r) => fixed(2)(v) + (r.sd === null ? "" : ` ± ${fixed(2)(r.sd)}`) },
  ...(fields.length <= FEW ? fields : []),
  { name: "validation", get: r => r.validation, show: fixed(2) },
  { name: "calibration", get: r => r.calibration_error, show: fixed(2) },
  { name: "training s", get: r => r.seconds, show: v => Number.isFinite(v) ? v.toFixed(v < 10 ? 1 : 0) : "" },
  ...(fields.length > FEW ? fields : []),
];
for (const column of columns) column.number = data.runs.some(r => typeof column.get(r) === "number");
const called = name => columns.find(column => column.name === name);

// Numbers first, in their order, then texts; what is not known comes last whichever way it is sorted.
function compare(a, b, down) {
  const [lacksA, lacksB] = [a, b].map(v => v === null || v === undefined);
  if (lacksA || lacksB) return lacksA - lacksB;
  const order = typeof a === "number" && typeof b === "number" ? a - b
    : String(a).localeCompare(String(b), "en", { numeric: true });
  return down ? -order : order;
}

const OPERATORS = {
  "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b,
  "=": (a, b) => a === b, "!=": (a, b) => a !== b,
};
// A word has to be in some cell; a comparison has to hold of its column.
function condition(word) {
  const parts = word.match(/^([^<>=!]+)(<=|>=|!=|<|>|=)(.+)$/);
  const column = parts && called(parts[1]);
  if (!column) return r => columns.some(c => plain(c.get(r)).toLowerCase().includes(word.toLowerCase()));
  const numeric = parts[3].trim() !== "" && Number.isFinite(Number(parts[3]));
  return r => {
    const value = column.get(r);
    if (value === null || value === undefined) return parts[2] === "!=";
    return numeric && typeof value === "number" ? OPERATORS[parts[2]](value, Number(parts[3]))
      : OPERATORS[parts[2]](String(value).toLowerCase(), parts[3].toLowerCase());
  };
}

function filtered() {
  const conditions = state.filter.split(/\s+/).filter(Boolean).map(condition);
  const sort = called(state.sort) ?? columns[0];
  return data.runs.filter(r => conditions.every(holds => holds(r)))
    .sort((a, b) => compare(sort.get(a), sort.get(b), state.down));
}

const pinned = new Set(state.pinned.split("\n").filter(Boolean));
// The runs that charts show.
const drawn = () => {
  const rows = filtered(), ticked = rows.filter(r => pinned.has(r.run));
  return ticked.length ? ticked : rows;
};
const chosen = () => data.runs.find(r => r.run === state.run) ?? drawn()[0];

function drawTable() {
  const rows = filtered(), known = chosen();
  const head = columns.map(c => {
    const arrow = c.name === state.sort ? (state.down ? " ▼" : " ▲") : "";
    const order = arrow ? ` aria-sort="${state.down ? "descending" : "ascending"}"` : "";
    return `<th class="${c.field ? "field" : ""}"${order}><button data-sort="${escape(c.name)}">${escape(c.name)}${arrow}</button></th>`;
  });
  const body = rows.map(r => {
    const cells = columns.map(c => {
      const text = (c.show ?? plain)(c.get(r), r);
      const whole = String(text).length > 30 ? ` title="${escape(text)}"` : "";
      return `<td${c.number ? ' class="number"' : ""}${whole}>${escape(text)}</td>`;
    });
    const tick = `<td><input type="checkbox" aria-label="draw" ${pinned.has(r.run) ? "checked" : ""}></td>`;
    return `<tr data-run="${escape(r.run)}" class="${r === known ? "chosen" : ""} ${r.finished ? "" : "going"}">${tick}${cells.join("")}</tr>`;
  });
  at("runs").innerHTML = `<thead><tr><th></th>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody>`;
  const going = data.runs.filter(r => !r.finished).length;
  at("status").textContent = `${rows.length} of ${data.runs.length} runs` + (going ? `, ${going} unfinished` : "")
    + `; written ${data.made}` + (data.reload ? ", and again whenever a run changes" : "");
}
