// --- one state: the step and what is selected ------------------------------------------------------------------------------

const facts = JSON.parse(document.getElementById("page.facts").textContent);
const state = { step: facts.steps.length ? facts.steps[facts.steps.length - 1] : null, at: null };
for (const name of Object.keys(facts.selections)) state[name] = null;
const listeners = [];
let frame = 0;
let pending = new Set();
let written = 0;
let hasMoved = false; // figures that open at a step of their own do so until the slider moves

const selectionsOf = (name) => facts.shared[name] ?? [name];
const chosenIn = (name) => selectionsOf(name).map((own) => state[own]).filter((value) => value !== null);

function change(name, value) {
  if (state[name] === value) return;
  state[name] = value;
  hasMoved ||= name === "step";
  pending.add(name);
  frame ||= requestAnimationFrame(announce);
  clearTimeout(written); // browsers allow few changes of the address a second
  written = setTimeout(writeAddress, 250);
}

function announce() {
  frame = 0;
  const changed = pending;
  pending = new Set();
  for (const listen of listeners) listen(changed);
}

const go = (step) => change("step", step);

// Choose a value, or choose nothing where the value was chosen already.
function choose(name, value) {
  const [own] = selectionsOf(name);
  if (value < 0 || !(own in facts.selections)) return;
  change(own, state[own] === value ? null : value);
}

const nameOf = (own, value) => facts.selections[own].words.replace("{}", () => facts.selections[own].names[value] ?? value);

// --- the address: #step=1000&k=7&at=circles -------------------------------------------------------------------------------

function writeAddress() {
  const parts = Object.entries(state).filter(([, value]) => value !== null).map(([name, value]) => `${name}=${value}`);
  history.replaceState(null, "", `#${parts.join("&")}`);
}

function decodedOr(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a % that begins no code
  }
}

function readAddress() {
  const text = decodedOr(location.hash.slice(1));
  const given = new Map(text.split("&").map((part) => part.split("=")));
  if (text && !text.includes("=")) given.set("at", text);
  for (const name of Object.keys(facts.selections)) {
    const value = given.get(name);
    if (/^\d+$/.test(value ?? "")) change(name, Number(value));
    else if (text.includes("=")) change(name, null);
  }
  const step = given.get("step");
  if (/^\d+$/.test(step ?? "") && facts.steps.length) go(facts.steps[nearest(facts.steps, Number(step))]);
  const target = document.getElementById(given.get("at") ?? "");
  if (!target) return;
  target.closest("details")?.setAttribute("open", "");
  target.querySelector(":scope > details")?.setAttribute("open", "");
  target.scrollIntoView();
}
