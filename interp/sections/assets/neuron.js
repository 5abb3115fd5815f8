"use strict";
// One neuron at the run's stages: its activation on all pairs, its spectrum, its weights by token.

const NEURON_STYLE = `
.ne { display: grid; gap: 0.8rem; margin-top: 0.7rem; }
.ne h4, .ne p { margin: 0; }
.ne h4 { font-size: 0.95rem; }
.ne input { font: inherit; color: var(--ink); background: var(--panel); border: 1px solid var(--soft); border-radius: 6px; padding: 0.1rem 0.4rem; width: 5.5rem; }
.ne-stages { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1rem 1.5rem; }
.ne-stage { display: grid; gap: 0.3rem; align-content: start; min-width: 0; max-width: 24rem; font-size: 0.85rem; }
.ne-map { width: 100%; max-width: 17rem; aspect-ratio: 1; image-rendering: pixelated; border: 1px solid var(--line); }
.ne-said { font-weight: 600; }
.ne-note { font-size: 0.85rem; color: var(--soft); }
`;
const PARTS = { a: ["of a", "#0072B2"], b: ["of b", "#56B4E9"], answer: ["of the answer", "#E69F00"], difference: ["of the difference", "#CC79A7"] };

// Viridis at nine places.
const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"].map(channels);

function viridis(share) {
  const at = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[i].map((value, c) => value + (at - i) * (VIRIDIS[i + 1][c] - value));
}

function lines(context, width, height, curves, colours, marks) {
  const every = curves.flatMap(({ values }) => Array.from(values));
  const [high, low] = [Math.max(...every, 1e-12), Math.min(...every, 0)];
  const y = (value) => 4 + ((high - value) / (high - low)) * (height - 8);
  context.fillStyle = colours.line;
  context.fillRect(0, y(0), width, 1);
  for (const { values, colour } of curves) {
    const x = (i) => 2 + (i / Math.max(values.length - 1, 1)) * (width - 4);
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 1.5;
    context.beginPath();
    values.forEach((value, i) => context.lineTo(x(i), y(value)));
    context.stroke();
    for (const i of marks) if (values[i] !== undefined) context.fillRect(x(i) - 2.5, y(values[i]) - 2.5, 5, 5);
  }
}

function spectrum(context, width, height, shares, colours, k) {
  const count = shares.units.length;
  const top = Math.max(...shares.total, 1e-9);
  const step = width / count;
  shares.units.forEach((unit, i) => {
    let from = height - 1;
    for (const [name, values] of Object.entries(shares.parts)) {
      const size = (values[i] / top) * (height - 6);
      context.fillStyle = PARTS[name][1];
      context.fillRect(i * step + step * 0.1, from - size, Math.max(step * 0.8, 1), size);
      from -= size;
    }
    if (String(unit.k) === String(k)) {
      context.fillStyle = colours.ink;
      context.fillRect(i * step, height - 2, Math.max(step, 3), 2);
    }
  });
  context.fillStyle = colours.line;
  context.fillRect(0, height - 1, width, 1);
}

function stageOf(options, stage, select) {
  const map = make("canvas", { class: "ne-map", role: "img", "aria-label": "Activations" });
  const range = make("p");
  const bars = canvasOf(80, "Spectrum", (context, width, height) => seen.shares && spectrum(context, width, height, seen.shares, seen.colours, seen.k));
  const most = make("p");
  const into = canvasOf(80, "Input weights", (context, width, height) => lines(context, width, height, seen.inputs, seen.colours, []));
  const out = canvasOf(80, "Output weights", (context, width, height) => lines(context, width, height, seen.outputs, seen.colours, []));
  const note = make("p", { class: "ne-note" });
  let seen = null;
  bars.element.addEventListener("click", (event) => {
    const { left, width } = bars.element.getBoundingClientRect();
    const unit = seen.shares.units[Math.floor(((event.clientX - left) / width) * seen.shares.units.length)];
    if (unit && options.cycle) select("k", unit.k);
  });
  const isPlain = options.norm === "none";
  const weights = isPlain
    ? [make("p", {}, "Input by token of a (dark) and b (light):"), into.element, make("p", {}, "Output to each answer's logit:"), out.element]
    : [note];
  note.textContent = "No weights by token: a layer norm stands between the tokens and the neurons, and between the neurons and the logits.";
  const spectra = options.units.length ? [bars.element, most] : [];
  return {
    element: make("div", { class: "ne-stage" }, make("h4", {}, stage.label), map, range, ...spectra, ...weights),
    paint(next) {
      seen = next;
      const [high, low] = [Math.max(...seen.values), Math.min(...seen.values)];
      paintCells(map, options.n, (row) => viridis(high > low ? (seen.values[row] - low) / (high - low) : 0));
      const fires = countOf(seen.values.reduce((count, value) => count + (value > 0), 0), seen.values.length, "pairs");
      range.textContent = `Positive on ${fires}; from ${plain(low)} (dark) to ${plain(high)} (bright).`;
      map.setAttribute("aria-label", `Activations on all pairs, a down and b to the right. ${range.textContent}`);
      if (seen.shares) {
        const best = largest(seen.shares.total);
        const share = seen.shares.total[best];
        most.textContent = share > 0 ? `${seen.shares.units[best].name} explains ${percent(share)} of its variance.` : "It never varies.";
        most.textContent = most.textContent[0].toUpperCase() + most.textContent.slice(1);
        bars.draw(`Share of the variance at each of ${seen.shares.units.length} frequencies or irreps. ${most.textContent}`);
      }
      if (!isPlain) return;
      const span = (values) => `from ${plain(Math.min(...values))} to ${plain(Math.max(...values))}`;
      into.draw(`Input weights: by a ${span(seen.inputs[0].values)}, by b ${span(seen.inputs[1].values)}.`);
      out.draw(`Output weights ${span(seen.outputs[0].values)}.`);
    },
  };
}

(window.widgets ??= {}).neuron = (element, arrays, options, api) => {
  const model = modelOf(arrays, options);
  const repaint = onceAFrame(paint);
  const own = { neuron: options.neuron };
  const now = () => chosen(api.state.neuron, options.neurons) ?? own.neuron;
  const choose = (neuron) => {
    own.neuron = neuron;
    api.select("neuron", neuron);
    repaint();
  };
  const input = chooser("Neuron", Array.from({ length: options.neurons }, (_, i) => String(i)), choose);
  const said = make("p", { class: "ne-said", "aria-live": "polite" });
  const stages = options.stages.map((stage) => stageOf(options, stage, (name, value) => api.select(name, value)));
  const legend = options.units.length
    ? `Spectrum: the share of the neuron's variance at each ${options.cycle ? "frequency" : "irrep"}, of functions ` +
      `${listed(Object.entries(PARTS).filter(([name]) => name !== "difference" || options.cycle).map(([, [words]]) => words))}.`
    : options.noSpectrum;
  const kept = new Map();
  let last = null;

  function computed(neuron, stage) {
    const key = `${neuron}/${stage}`;
    if (!kept.has(key)) {
      if (kept.size > 30) kept.clear();
      const net = model.at(stage);
      const values = neuronMap(net, neuron);
      const shares = options.units.length ? sharesOf(values, options.n, { ...options, answers: model.answers }, model.units) : null;
      const isPlain = options.norm === "none";
      kept.set(key, { values, shares: shares && { parts: shares, units: model.units, total: model.units.map((_, i) =>
        Object.values(shares).reduce((sum, part) => sum + part[i], 0)) },
        inputs: isPlain && [1, 2].map((kind, i) => ({ values: inputsBy(net, neuron, kind), colour: ["#0072B2", "#56B4E9"][i] })),
        outputs: isPlain && [{ values: outputsOf(net, neuron), colour: "#E69F00" }] });
    }
    return kept.get(key);
  }

  // Stage after stage, the last one first, so that no task is long.
  function later(left, neuron) {
    clearTimeout(own.timer);
    if (!left.length) return;
    const [stage, ...others] = left;
    stages[stage].paint({ ...computed(neuron, stage), colours: api.colours(), k: api.state.k });
    own.timer = setTimeout(() => later(others, neuron));
  }

  function paint() {
    const neuron = now();
    input.show(neuron);
    later([...stages.keys()].reverse(), neuron);
    const cluster = options.clusters.find(({ neurons }) => neurons.includes(neuron));
    const text = cluster && cluster.k !== null ? `Neuron ${neuron} belongs to the cluster of ${cluster.name}.` : `Neuron ${neuron} belongs to no cluster that is shown.`;
    if (said.textContent !== text) said.textContent = text;
  }

  element.append(make("style", {}, NEURON_STYLE), make("div", { class: "ne" }, input.element, said,
    make("div", { class: "ne-stages" }, ...stages.map((stage) => stage.element)), make("p", { class: "ne-note" }, legend)));
  new ResizeObserver(repaint).observe(element);

  return { show() {
    const seen = [now(), api.state.k, ...Object.values(api.colours())].join();
    if (seen !== last) paint();
    last = seen;
  } };
};
