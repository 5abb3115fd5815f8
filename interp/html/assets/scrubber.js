// --- the bar: the step, its phases, playing, and what is selected --------------------------------------------------------

const byId = (id) => document.getElementById(id);
const slider = byId("page.slider");
const playButton = byId("page.play");
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
let timer = 0;

function showStep() {
  if (!slider) return;
  const i = facts.steps.indexOf(state.step);
  slider.value = i;
  slider.setAttribute("aria-valuetext", facts.labels[i]);
  byId("page.label").textContent = facts.labels[i];
}

function stopPlaying() {
  clearTimeout(timer);
  timer = 0;
  playButton.textContent = "\u25b6";
  playButton.setAttribute("aria-label", "Play");
}

function advance() {
  const i = facts.steps.indexOf(state.step);
  if (i + 1 >= facts.steps.length) return stopPlaying();
  go(facts.steps[i + 1]);
  timer = setTimeout(advance, isCalm.matches ? 1000 : 180);
}

function startPlaying() {
  if (state.step === facts.steps[facts.steps.length - 1]) go(facts.steps[0]);
  playButton.textContent = "\u275a\u275a";
  playButton.setAttribute("aria-label", "Pause");
  timer = setTimeout(advance, 180);
}

// Phases as coloured stretches below the slider, whose thumb moves by the number of the snapshot.
function drawPhases() {
  const strip = byId("page.phases");
  if (!strip || !facts.phases.length) return;
  const last = Math.max(1, facts.steps.length - 1);
  facts.phases.forEach(({ name, first, last: end }, i) => {
    const [from, to] = [nearest(facts.steps, first), nearest(facts.steps, end)].map((at) => (100 * at) / last);
    const part = html("button", { type: "button", class: `phase phase${i % 4}`,
      title: `${name}: steps ${counted(first)} to ${counted(end)}` }, name);
    part.style.left = `${from}%`;
    part.style.width = `${to - from}%`;
    part.addEventListener("click", () => (stopPlaying(), go(facts.steps[nearest(facts.steps, end)])));
    strip.append(part);
  });
}

function showChosen() {
  const list = byId("page.chosen");
  const chosen = Object.keys(facts.selections).filter((own) => state[own] !== null);
  list.replaceChildren(...chosen.map((own) => {
    const words = nameOf(own, state[own]);
    const button = html("button", { type: "button", class: "chip", "aria-label": `${words}: deselect` }, `${words} \u00d7`);
    button.addEventListener("click", () => change(own, null));
    return button;
  }));
  byId("page.status").textContent = chosen.length
    ? `Selected: ${chosen.map((own) => nameOf(own, state[own])).join(", ")}` : "";
}

function wireBar() {
  listeners.push((changed) => {
    if (changed.has("step")) showStep();
    if (Object.keys(facts.selections).some((own) => changed.has(own))) showChosen();
  });
  if (!slider) return;
  slider.addEventListener("input", () => (stopPlaying(), go(facts.steps[slider.value])));
  playButton.addEventListener("click", () => (timer ? stopPlaying() : startPlaying()));
  drawPhases();
}
