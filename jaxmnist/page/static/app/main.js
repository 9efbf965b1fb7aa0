// The page put together: what is written or given is read, and shown.

import { fromBase85, unzip } from "../packed.js";
import { createPad } from "./pad.js";
import { startReader } from "./reader.js";
import { showResults, spelled, summary } from "./results.js";

const MOST_BYTES = 50_000_000; // of a file
const PAUSE = 120; // milliseconds after a stroke: often the next one follows
const byId = (id) => document.getElementById(id);
const textOf = (id) => byId(id).textContent.trim();
const page = {
  string: byId("string"), heard: byId("heard"), status: byId("status"), details: byId("details"), notes: byId("notes"),
  undo: byId("undo"), clear: byId("clear"), model: byId("model"),
};
const models = JSON.parse(textOf("models"));
const reader = unzip(fromBase85(textOf("reader"))).then(startReader);
const pad = createPad(byId("pad"), byId("cursor"), () => readSoon());
let isReady = false;
let timer = 0;
let latest = 0; // number of the last thing that was to be read

function say(sentence, state, heard = "") {
  page.heard.textContent = heard;
  page.status.textContent = sentence;
  document.documentElement.dataset.state = state;
}

function readSoon(pause = PAUSE) {
  page.undo.disabled = !pad.canUndo();
  page.clear.disabled = !pad.content();
  const number = ++latest;
  clearTimeout(timer);
  timer = setTimeout(() => isReady && readNow(number), pause);
}

async function readNow(number) {
  const content = pad.content();
  try {
    const { reading } = content ? await (await reader).read(content) : { reading: null };
    if (number === latest) show(reading);
  } catch (error) {
    if (number === latest) say(error.message, "failed");
  }
}

function show(reading) {
  showResults(page, reading);
  say(summary(reading), reading ? "read" : "empty", spelled(reading));
}

// Reads a picture that was chosen, dropped, pasted or photographed.
async function readFile(file) {
  if (!file) return;
  if (file.size > MOST_BYTES) {
    say(`This file has over ${MOST_BYTES / 1e6} megabytes: use a smaller picture.`, "failed");
    return;
  }
  const number = ++latest;
  clearTimeout(timer);
  await started;
  if (number !== latest) return;
  say("Reading…", "reading");
  try {
    const { reading, preview } = await (await reader).read(file);
    if (number !== latest) return;
    pad.show(file, preview);
    [page.undo.disabled, page.clear.disabled] = [false, false];
    show(reading);
  } catch (error) {
    if (number === latest) say(error.message, "failed");
  }
}

async function useModel(name) {
  const { file } = models.find((model) => model.name === name);
  const weights = file ? await fetched(file) : fromBase85(textOf("weights"));
  await (await reader).use(weights);
}

async function fetched(file) {
  const answer = await fetch(file);
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.arrayBuffer();
}

async function chooseModel() {
  const name = page.model.value;
  say("Fetching the model…", "reading");
  try {
    await useModel(name);
    page.model.dataset.chosen = name;
  } catch {
    page.model.value = page.model.dataset.chosen;
    say(`The model ${name} cannot be fetched: the page goes on with the one it has.`, "failed");
    return;
  }
  readSoon(0);
}

for (const { name, about, file } of models) {
  const option = new Option(`${name}: ${about}`, name);
  option.disabled = file !== "" && location.protocol === "file:"; // a file may fetch no other
  page.model.add(option);
}
page.model.dataset.chosen = page.model.value;
page.model.addEventListener("change", chooseModel);
page.undo.addEventListener("click", () => pad.undo());
page.clear.addEventListener("click", () => {
  pad.clear();
  byId("pad").focus();
});
for (const id of ["file", "photo"]) {
  byId(id).addEventListener("change", ({ target }) => {
    readFile(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
}
document.addEventListener("keydown", (event) => {
  const isUndo = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key === "z";
  if (isUndo) pad.undo();
  else if (event.key === "Delete") pad.clear();
  else return;
  event.preventDefault();
});
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
  if (file) readFile(file);
  else say("What was pasted is no picture: copy one first.", "failed");
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  readFile(event.dataTransfer.files[0]);
});

const started = useModel(models[0].name).then(
  () => {
    isReady = true;
    say(summary(null), "empty");
    if (pad.content()) readSoon(0);
  },
  (error) => say(`The reader cannot start here (${error.message}): use a newer browser.`, "failed"),
);
