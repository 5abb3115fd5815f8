// --- wiring: sections are unpacked when they come near, or when the browser is idle ------------------------------------------------

const panels = new Map(); // by id of the element
const sections = Array.from(document.querySelectorAll("script.payload"), (script) => ({ script, ready: null }));

let shared = null; // the arrays of all widgets

function unpackShared() {
  shared ??= unpack(byId("page.shared").textContent);
  return shared;
}

function open(section) {
  section.ready ??= unpack(section.script.textContent).then(async ({ content, views }) => {
    const hasWidgets = content.panels.some(({ kind }) => kind === "widget");
    const weights = hasWidgets && byId("page.shared") ? (await unpackShared()).views : [];
    for (const data of content.panels) {
      const element = byId(data.id);
      const panel = data.kind === "widget" ? new Widget(element, data, weights)
        : new Panel(element, data, views, content.templates);
      panels.set(data.id, panel);
      if (data.kind === "figure") {
        element.querySelector(".csv").addEventListener("click", () => (panel.resolve(true), download(panel)));
        wireCloser(panel);
      }
      seen.observe(element);
    }
    section.script.remove();
  });
  return section.ready;
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const panel = panels.get(target.id);
    panel.inView = isIntersecting;
    panel.draw();
  }
}, { rootMargin: "200px" });

const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const section = sections.find(({ script }) => script.dataset.section === target.id);
    if (isIntersecting && section) open(section);
  }
}, { rootMargin: "600px" });

const links = new Map(Array.from(document.querySelectorAll("nav a"), (a) => [a.hash.slice(1), a]));
const read = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    for (const [id, a] of links) a.ariaCurrent = id === target.id ? "location" : null;
    if (links.has(target.id) && state.at !== target.id) {
      state.at = links.keys().next().value === target.id ? null : target.id;
      if (location.hash.includes("=")) writeAddress();
    }
  }
}, { rootMargin: "-20% 0px -75% 0px" });

const all = () => Array.from(panels.values());
const openAll = () => Promise.all(sections.map(open));

async function flush() {
  await openAll();
  cancelAnimationFrame(frame);
  announce();
  showStep();
  return Promise.all(all().map((panel) => (panel.say?.(), panel.draw(true))));
}

function openWhenIdle(queue = [...sections]) {
  const section = queue.shift();
  if (!section) return;
  const idle = window.requestIdleCallback ?? ((f) => setTimeout(f, 100));
  idle(() => open(section).then(() => openWhenIdle(queue)));
}

function print(isOn) {
  printing = isOn;
  document.documentElement.classList.toggle("printing", isOn);
  for (const panel of all()) {
    panel.redress();
    panel.draw(isOn);
  }
  if (isOn) printLead();
  else document.querySelectorAll(".moment").forEach((moment) => moment.remove());
}

// The lead's figures at each of the chosen steps, one row a step, as pictures.
function printLead() {
  const lead = document.querySelector(".lead-figures");
  if (!lead || !facts.printSteps.length) return;
  const shown = state.step;
  for (const step of facts.printSteps) {
    state.step = step;
    const row = html("div", { class: "moment" }, html("p", { class: "moment-step" }, `Step ${counted(step)}`));
    for (const panel of all().filter(({ element, live, closely }) => lead.contains(element) && live && !closely)) {
      panel.changed();
      panel.draw(true);
      row.append(pictureOf(panel));
    }
    lead.after(row);
    lead.parentElement.append(row);
  }
  state.step = shown;
  for (const panel of all()) panel.changed();
}

function pictureOf(panel) {
  const box = html("div", { class: "picture" });
  for (const canvas of [panel.still, panel.live]) {
    const copy = html("canvas");
    [copy.width, copy.height, copy.style.width, copy.style.height] = [canvas.width, canvas.height, canvas.style.width, canvas.style.height];
    copy.getContext("2d").drawImage(canvas, 0, 0);
    box.append(copy);
  }
  box.style.height = `${panel.size[1]}px`;
  box.append(panel.svg.cloneNode(true));
  return box;
}

function begin() {
  document.documentElement.classList.add("live");
  document.body.append(tip);
  wireBar();
  listeners.push((changed) => {
    if (changed.has("step")) for (const panel of all()) panel.opens = null;
    for (const panel of all()) panel.changed();
  });
  document.querySelectorAll("main section").forEach((section) => (near.observe(section), read.observe(section)));
  document.querySelectorAll("details").forEach((details) => details.addEventListener("toggle", () => all().forEach((panel) => panel.draw())));
  addEventListener("hashchange", readAddress);
  addEventListener("resize", () => all().forEach((panel) => panel.draw()));
  for (const query of [isDark, isNarrow]) query.addEventListener("change", () => all().forEach((panel) => panel.redress()));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  addEventListener("keydown", ({ key }) => { if (key === "Escape") hideTip(); });
  readAddress();
  const first = sections.length ? open(sections[0]) : Promise.resolve();
  first.then(() => openWhenIdle());
  window.page = { state, flush, panels, select: change, go };
}

if (typeof DecompressionStream === "function") begin();
else byId("page.notice").hidden = false;
