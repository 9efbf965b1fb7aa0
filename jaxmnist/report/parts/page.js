// What is drawn when: the table at once, a chart when it comes into view.
const CHARTS = { curves, suites, sizes, calibration, confusion };
const views = {}, stale = new Set(Object.keys(CHARTS)), visible = new Set();

async function drawChart(id) {
  stale.delete(id);
  const spec = CHARTS[id](drawn(), chosen());
  views[id]?.finalize();
  delete views[id];
  if (!spec) {
    at(id).innerHTML = '<p class="empty">Nothing to draw of these runs yet.</p>';
    return;
  }
  const whole = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", autosize: { type: "fit", contains: "padding" }, config: theme(), ...spec };
  views[id] = await vegaEmbed(at(id), whole, { renderer: "canvas", actions: false });
  views[id].view.addEventListener("click", (event, item) => { if (item?.datum?.run) choose(item.datum.run); });
}

function drawVisible() {
  for (const id of [...stale]) if (visible.has(id)) drawChart(id);
}

function refresh(...ids) {
  for (const id of ids.length ? ids : Object.keys(CHARTS)) stale.add(id);
  for (const place of document.querySelectorAll(".chosen:not(tr)")) place.textContent = chosen()?.run ?? "none";
  remember();
  drawVisible();
}

function all() {
  drawTable();
  drawMistakes(chosen());
  refresh();
}

function choose(run) {
  state.run = run;
  for (const row of at("runs").tBodies[0].rows) row.classList.toggle("chosen", row.dataset.run === run);
  drawMistakes(chosen());
  refresh("confusion");
}

at("runs").addEventListener("click", event => {
  const sort = event.target.closest("[data-sort]")?.dataset.sort, row = event.target.closest("tr[data-run]");
  if (sort) {
    state.down = state.sort === sort && !state.down ? "1" : "";
    state.sort = sort;
    drawTable();
    remember();
  } else if (row && event.target.type === "checkbox") {
    pinned[event.target.checked ? "add" : "delete"](row.dataset.run);
    state.pinned = [...pinned].join("\n");
    refresh();
  } else if (row) choose(row.dataset.run);
});
at("unpin").addEventListener("click", () => {
  pinned.clear();
  Object.assign(state, { pinned: "", filter: "" });
  at("filter").value = "";
  all();
});
let waiting;
at("filter").addEventListener("input", event => {
  state.filter = event.target.value;
  clearTimeout(waiting);
  waiting = setTimeout(all, 150);
});
at("controls").addEventListener("submit", event => event.preventDefault());
at("colour").addEventListener("change", event => { state.colour = event.target.value; refresh(); });
at("curve").addEventListener("change", event => { state.curve = event.target.value; refresh("curves"); });
at("log").addEventListener("change", event => { state.log = event.target.checked ? "1" : ""; refresh("curves"); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => refresh());

at("notes").innerHTML = data.notes.map(note => `<li>${escape(note)}</li>`).join("");
// By run, or where there are too many by what has few values, and more than one.
const few = column => { const n = new Set(data.runs.map(r => plain(column.get(r)))).size; return n > 1 && n <= COLOURS; };
if (!called(state.colour)) state.colour = (columns.find(few) ?? columns[0]).name;
at("colour").innerHTML = columns.map(c => `<option${c.name === state.colour ? " selected" : ""}>${escape(c.name)}</option>`).join("");
at("filter").value = state.filter;
at("curve").value = state.curve;
at("log").checked = state.log === "1";
all();

const observer = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) visible[isIntersecting ? "add" : "delete"](target.id);
  drawVisible();
}, { rootMargin: "50px" });
for (const id of Object.keys(CHARTS)) observer.observe(at(id));

// While runs go on the file is written again and again. Nothing is taken from under somebody's hands.
let hand = 0;
for (const kind of ["pointermove", "keydown", "wheel", "pointerdown"]) addEventListener(kind, () => { hand = Date.now(); }, { passive: true });
if (data.reload) setInterval(() => {
  const busy = Date.now() - hand < 3000 || document.hidden || document.activeElement === at("filter");
  if (!busy) location.reload();
}, 1000 * data.reload);
