"use strict";
// What-if: the network computes in the page; a pair, a stage of the run, and parts that are switched off are chosen.

const WHATIF_STYLE = `
.wi { display: grid; gap: 0.9rem; margin-top: 0.7rem; }
.wi h4, .wi p { margin: 0; }
.wi h4 { font-size: 0.95rem; }
.wi-controls { display: flex; flex-wrap: wrap; gap: 0.5rem 1.2rem; align-items: center; }
.wi-controls input { width: 5.5rem; }
.wi-controls input, .wi-controls select { font: inherit; color: var(--ink); background: var(--panel); border: 1px solid var(--soft); border-radius: 6px; padding: 0.1rem 0.4rem; max-width: 12rem; }
.wi button[aria-pressed=true] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
.wi-stages { display: flex; flex-wrap: wrap; gap: 0.4rem; }
.wi-stages button { padding: 0.15rem 0.7rem; }
.wi-said { font-size: 1.1rem; font-weight: 600; min-height: 3.1rem; }
.wi-note { font-size: 0.85rem; color: var(--soft); }
.wi-columns { display: grid; grid-template-columns: minmax(0, 16rem) minmax(0, 1fr); gap: 1rem 1.5rem; }
.wi-panel { display: grid; gap: 0.35rem; align-content: start; min-width: 0; }
.wi-stack { gap: 1rem; }
.wi-table { position: relative; width: 100%; max-width: 16rem; aspect-ratio: 1; touch-action: none; cursor: crosshair; }
.wi-table canvas, .wi-table svg { position: absolute; inset: 0; width: 100%; height: 100%; image-rendering: pixelated; }
.wi-table line, .wi-table circle { fill: none; stroke-width: 1.5px; vector-effect: non-scaling-stroke; }
.wi-circles { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.wi-circle { display: grid; justify-items: center; padding: 0.2rem; width: 9.5rem; }
.wi-circle svg { width: 100%; font-size: 12px; overflow: visible; }
.wi-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 0.6rem 1.2rem; }
.wi-name { font-size: 0.85rem; font-weight: 600; }
.wi-row { display: grid; grid-template-columns: 5.5rem 1fr 2.6rem; gap: 0.5rem; align-items: center; font-size: 0.85rem; }
.wi-rail { height: 0.7rem; border: 1px solid var(--line); }
.wi-bar { display: block; height: 100%; background: var(--accent); }
.wi-number { text-align: right; font-variant-numeric: tabular-nums; }
.wi-legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; margin: 0; padding: 0; list-style: none; font-size: 0.85rem; }
.wi-swatch { display: inline-block; width: 0.75rem; height: 0.75rem; margin-right: 0.35rem; border: 1px solid var(--line); }
.wi fieldset { border: 1px solid var(--line); border-radius: 8px; padding: 0.4rem 0.8rem 0.6rem; margin: 0; display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; min-width: 0; }
.wi legend { font-size: 0.95rem; font-weight: 600; }
.wi-group { display: flex; flex-wrap: wrap; gap: 0.2rem 0.9rem; align-items: baseline; font-size: 0.9rem; flex-basis: 100%; }
.wi-group > span { min-width: 6rem; color: var(--soft); }
@media (max-width: 640px) { .wi-columns { grid-template-columns: minmax(0, 1fr); } .wi-circle { width: 8.6rem; } .wi-group > span { flex-basis: 100%; } }
@media print { .wi-controls, .wi fieldset, .wi-note:has(+ .wi-table) { display: none; } }
`;

(window.widgets ??= {}).whatif = (element, arrays, options, api) => {
  const model = modelOf(arrays, options);
  const own = { a: options.start[0], b: options.start[1], stage: options.stages.length - 1, done: 0 };
  const flags = (count) => new Array(count).fill(0);
  const off = { heads: flags(options.heads), clusters: flags(options.clusters.length), units: flags(options.keys.length) };
  const repaint = onceAFrame(paint);
  const said = make("p", { class: "wi-said", "aria-live": "polite" });
  const choose = (a, b) => {
    Object.assign(own, { a, b });
    api.select("a", a);
    api.select("b", b);
    repaint();
  };
  const toggle = (name) => (value) => api.select(name, String(api.state[name]) === String(value) ? null : value);
  const a = chooser("a", options.elements, (value) => choose(value, pair()[1]));
  const b = chooser("b", options.elements, (value) => choose(pair()[0], value));
  const stages = options.stages.map(({ label }, i) => make("button", { type: "button", onclick: () => {
    own.stage = i;
    repaint();
  } }, label));
  const table = tablePanel(options, model.answers, arrays.train?.values, choose);
  const beside = [
    ...(options.cycle && options.keys.length ? [circlesPanel(options, model.units, toggle("k"))] : []),
    ...(options.heads ? [attentionPanel(options)] : []),
  ];
  const below = [
    ...(options.neurons ? [neuronsPanel(options, (neuron) => api.select("neuron", neuron))] : []),
    logitsPanel(options),
  ];
  const panels = [table, ...beside, ...below];
  let last = null;

  function pair() {
    return [chosen(api.state.a, options.n) ?? own.a, chosen(api.state.b, options.n) ?? own.b];
  }

  // ---- switches ----

  const boxes = [];
  const group = (name, labels, values) => labels.length && make("div", { class: "wi-group" }, make("span", {}, name),
    ...labels.map((label, i) => {
      const box = make("input", { type: "checkbox", onchange: () => {
        values[i] = box.checked ? 1 : 0;
        repaint();
      } });
      boxes.push(box);
      return make("label", {}, box, ` ${label}`);
    }));
  const names = {
    units: options.keys.map((i) => options.units[i].name),
    heads: off.heads.map((_, h) => `head ${h}`),
    clusters: options.clusters.map(({ name, k }) => (k === null ? name : `neurons of ${name}`)),
  };
  const all = make("button", { type: "button", onclick: () => {
    for (const values of Object.values(off)) values.fill(0);
    for (const box of boxes) box.checked = false;
    repaint();
  } }, "Everything on");
  const switches = make("fieldset", {}, make("legend", {}, "Switch off"), ...[
    group("in the logits", names.units, off.units), group("attention", names.heads, off.heads),
    group("neurons", names.clusters, off.clusters)].filter(Boolean), all);

  // ---- words ----

  function sentence(view) {
    const without = Object.entries(names).flatMap(([name, labels]) => labels.filter((_, i) => off[name][i]));
    const start = `${options.stages[own.stage].when}${without.length ? `, without ${listed(without)},` : ""}`;
    if (!view.result.logits)
      return `${start.slice(0, -1)}: computing all pairs, which the part of a frequency or an irrep needs.`;
    const [x, y] = [options.elements[view.a], options.elements[view.b]];
    const answer = options.names[view.answer];
    const chance = `with probability ${percent(view.probabilities[view.answer])}`;
    const claim = options.operator ? `answers ${x} ${options.operator} ${y} = ${answer} ${chance}` : `answers ${answer} to a = ${x}, b = ${y} ${chance}`;
    return `${start} the network ${claim}${verdict(view)}`;
  }

  function verdict({ a: x, b: y, right, answer, probabilities, trained }) {
    const isApart = off.units.some(Boolean) && model.line[x * options.n + y] < 0;
    const kind = (trained === null ? "" : ` It was ${trained ? "" : "not "}trained on this pair.`) +
      (isApart ? " The pair lies outside the cycle, so that frequencies leave it as it is." : "");
    if (right < 0) return ". This pair has no answer.";
    if (right === answer) return `, which is right.${kind}`;
    return `; right is ${options.elements[right]}, with probability ${percent(probabilities[right])}.${kind}`;
  }

  function counted(given) {
    const defined = model.answers.reduce((count, answer) => count + (answer >= 0), 0);
    if (!given) return `Computing all pairs: ${Math.round(100 * own.done)}\u00a0%.`;
    const right = given.reduce((count, answer, row) => count + (answer === model.answers[row] && answer >= 0), 0);
    return `Right on ${countOf(right, defined, "pairs")}. ${options.tableNote}`;
  }

  // ---- painting ----

  function tokens(x, y) {
    return options.words.map((word) => (word === "a" ? `a = ${options.elements[x]}` : word === "b" ? `b = ${options.elements[y]}` : word === "op" ? "operator" : word));
  }

  function viewOf() {
    const [x, y] = pair();
    const row = x * options.n + y;
    const result = model.one(own.stage, x, y, off);
    const given = model.answered(own.stage, off);
    const bit = arrays.train ? (arrays.train.values[row >> 3] >> (7 - (row & 7))) & 1 : null;
    return { a: x, b: y, result, given, right: model.answers[row], trained: bit, off, k: api.state.k, neuron: chosen(api.state.neuron, options.neurons), tokens: tokens(x, y),
      answer: result.logits ? largest(result.logits) : -1, probabilities: result.logits && softmax(result.logits),
      counted: counted(given), colours: { ...api.colours(), soft: "#8a9199" },
      colourOf: (k) => options.units.find((unit) => unit.k === k)?.colour ?? "#8a9199" };
  }

  function paint() {
    const view = viewOf();
    a.show(view.a);
    b.show(view.b);
    stages.forEach((button, i) => button.setAttribute("aria-pressed", String(i === own.stage)));
    for (const each of panels) each.show(view);
    const text = sentence(view);
    if (said.textContent !== text) said.textContent = text;
    begin();
  }

  function begin() {
    const wanted = [own.stage, off.heads.join(""), off.clusters.join("")].join("/");
    if (wanted === own.wanted) return;
    Object.assign(own, { wanted, done: 0 });
    if (model.table(own.stage, off)) return repaint();
    model.begin(own.stage, off, (share) => {
      const isShown = Math.floor(20 * share) > Math.floor(20 * own.done) || share === 1;
      own.done = share;
      if (isShown) repaint();
    });
  }

  element.append(make("style", {}, WHATIF_STYLE), make("div", { class: "wi" },
    make("div", { class: "wi-controls" }, make("div", { class: "wi-stages", role: "group", "aria-label": "Weights of which step" }, ...stages), a.element, b.element),
    said, switches, make("div", { class: "wi-columns" }, table.element,
      make("div", { class: "wi-panel wi-stack" }, ...beside.map((each) => each.element))),
    ...below.map((each) => each.element)));
  new ResizeObserver(repaint).observe(element);

  return { show() {
    const seen = [...pair(), api.state.k, api.state.neuron, ...Object.values(api.colours())].join();
    if (seen !== last) paint();
    last = seen;
  } };
};
