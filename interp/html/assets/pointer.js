// --- pointer and keys ----------------------------------------------------------------------------------------------------------

function wirePicking(panel) {
  const { plot } = panel;
  const where = (event) => {
    const { left, top } = plot.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const scrub = (event) => {
    const box = cursorBox(panel, ...where(event));
    if (box) go(facts.steps[nearest(facts.steps, stepAt(panel, box, where(event)[0]))]);
    return Boolean(box);
  };
  plot.addEventListener("pointermove", (event) => {
    if (!panel.boxes) return;
    if (event.buttons & 1 && panel.scrubbing) return scrub(event);
    const found = elementAt(panel, ...where(event));
    plot.style.cursor = cursorBox(panel, ...where(event)) ? "ew-resize" : found && valuesAt(panel, found).length ? "pointer" : "";
    if (found) showTip(wordsFor(panel, found), event.clientX, event.clientY);
    else hideTip();
  });
  plot.addEventListener("pointerleave", hideTip);
  plot.addEventListener("pointerdown", (event) => {
    if (event.button || !panel.boxes) return;
    panel.scrubbing = scrub(event);
    if (panel.scrubbing) stopPlaying();
  });
  plot.addEventListener("click", (event) => {
    const found = panel.boxes && elementAt(panel, ...where(event));
    if (found) chooseAt(panel, found);
  });
  plot.addEventListener("keydown", (event) => keyed(panel, event));
  plot.addEventListener("blur", () => {
    panel.focus = null;
    hideTip();
    panel.draw();
  });
}

// The box under a place whose horizontal axis is that of the cursor.
const cursorBox = (panel, px, py) => panel.boxes.find((box) => isIn(box, px, py, 0) && panel.tracesIn(box).some((t) => panel.isCursor(t))) ?? null;

// The snapshot whose cursor stands nearest to a place.
function stepAt(panel, box, px) {
  const cursor = panel.tracks.find((track) => track.cursor && panel.tracesIn(box).includes(track.trace));
  const away = (i) => Math.abs(box.xs.pixel(valueAt(cursor, i)[0]) - px);
  const { steps } = panel.figure;
  return steps[steps.reduce((best, _, i) => (away(i) < away(best) ? i : best), 0)];
}

// What an element stands for: [selection, value] pairs.
function valuesAt(panel, { trace, i, x, y }) {
  const value = { trace: (link) => link.values[0], point: (link) => link.values[i], x: () => Number(x), y: () => Number(y) };
  const links = panel.figure.links.filter((link) => link.trace === trace);
  const own = (name) => (facts.shared[name] ?? []).some((one) => links.some((link) => link.name === one));
  return links.filter(({ name }) => !own(name)).map((link) => [link.name, value[link.by](link)]).filter(([, v]) => v >= 0);
}

// Selections that an element sets, by name: its own, and for names of several the first that is not its own.
function wantedAt(values) {
  const wanted = new Map(values.filter(([name]) => name in facts.selections));
  for (const [name, value] of values) {
    const free = name in facts.selections ? null : selectionsOf(name).find((own) => !wanted.has(own));
    if (free) wanted.set(free, value);
  }
  return Array.from(wanted);
}

function chooseAt(panel, found) {
  const wanted = wantedAt(valuesAt(panel, found));
  const isChosen = wanted.every(([name, value]) => state[name] === value);
  for (const [name, value] of wanted) change(name, isChosen ? null : value);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Arrow keys walk along the elements that can be chosen, or along the steps; Enter chooses, Escape leaves.
function keyed(panel, event) {
  if (event.key === "Escape" && panel.focus) {
    panel.focus = null;
    hideTip();
  } else if ((event.key === "Enter" || event.key === " ") && panel.focus) chooseAt(panel, panel.focus);
  else if (event.key in ARROWS) {
    const [dx, dy] = ARROWS[event.key];
    const stops = stopsOf(panel);
    const hasCursor = panel.tracks.some(({ cursor }) => cursor);
    if (stops.length && !(hasCursor && dx)) walk(panel, stops, dx, dy);
    else if (hasCursor && dx) go(facts.steps[Math.max(0, Math.min(facts.steps.length - 1, facts.steps.indexOf(state.step) + dx))]);
    else return;
  } else return;
  event.preventDefault();
  panel.draw();
}

// Elements of a panel that stand for something, in the order of the arrow keys.
function stopsOf(panel) {
  return panel.figure.links.filter(({ by }) => by !== "trace").flatMap((link) => {
    const trace = panel.shown[link.trace];
    const box = panel.boxes.find((b) => panel.tracesIn(b).includes(link.trace));
    if (trace.type !== "heatmap") return panel.indices(link.trace).filter((i) => link.by !== "point" || link.values[i] >= 0)
      .map((i) => ({ trace: link.trace, box, i, x: trace.x?.[i] ?? i, y: trace.y?.[i] ?? i }));
    const [n, m] = [trace.z.length, trace.z[0].length];
    const count = link.by === "x" ? m : n;
    return Array.from({ length: count }, (_, j) => {
      const [r, c] = link.by === "x" ? [0, j] : [j, 0];
      return { trace: link.trace, box, i: r * m + c, x: trace.x?.[c] ?? c, y: trace.y?.[r] ?? r, z: trace.z[r][c] };
    });
  });
}

function walk(panel, stops, dx, dy) {
  const at = panel.focus ? stops.findIndex((stop) => stop.trace === panel.focus.trace && stop.i === panel.focus.i) : -1;
  const next = (at + dx + dy + stops.length) % stops.length;
  panel.focus = { ...stops[at < 0 ? 0 : next], key: String(next) };
  const { left, top } = panel.plot.getBoundingClientRect();
  const words = wordsFor(panel, panel.focus);
  showTip(words, left + panel.focus.box.xs.pixel(panel.focus.x), top + panel.focus.box.ys.pixel(panel.focus.y));
  byId("page.status").textContent = words.join(", ");
}
