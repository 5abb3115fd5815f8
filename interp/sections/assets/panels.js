"use strict";
// Panels of the what-if widget. Each is {element, show(view)}; view is what `whatif.js` puts together.

const panel = (title, note, ...children) =>
  make("div", { class: "wi-panel" }, make("h4", {}, title), note && make("p", { class: "wi-note" }, note), ...children);

// ---- the table of all pairs ----

function tablePanel(options, answers, train, choose) {
  const { n } = options;
  const cells = make("canvas", { "aria-hidden": "true" });
  const across = draw("line", { x1: 0, x2: n });
  const down = draw("line", { y1: 0, y2: n });
  const ring = draw("circle", { r: Math.max(n / 28, 0.5) });
  const marks = draw("svg", { viewBox: `0 0 ${n} ${n}`, "aria-hidden": "true" }, across, down, ring);
  const box = make("div", { class: "wi-table", tabindex: 0, role: "application",
    "aria-label": "Table of all pairs, a down and b to the right: arrow keys change the pair" }, cells, marks);
  const count = make("p", { class: "wi-note" });
  let shown = null;
  let painted = null;

  const at = (event) => {
    const { left, top, width, height } = box.getBoundingClientRect();
    const place = (from, size) => Math.min(Math.max(Math.floor((from / size) * n), 0), n - 1);
    choose(place(event.clientY - top, height), place(event.clientX - left, width));
  };
  box.addEventListener("pointerdown", (event) => {
    box.setPointerCapture(event.pointerId);
    at(event);
  });
  box.addEventListener("pointermove", (event) => event.buttons && at(event));
  onArrows(box, (rows, columns) => {
    const place = (value) => Math.min(Math.max(value, 0), n - 1);
    choose(place(shown.a + rows), place(shown.b + columns));
  });

  const colours = options.states.map(channels);
  const state = (given, row) => {
    if (answers[row] < 0) return 4;
    return (train && (train[row >> 3] >> (7 - (row & 7))) & 1 ? 2 : 0) + (given[row] === answers[row] ? 1 : 0);
  };

  return {
    element: panel("All pairs", "Drag, or use the arrow keys.", box, count),
    show(view) {
      shown = view;
      for (const line of [across, down, ring]) line.setAttribute("stroke", view.colours.panel);
      for (const name of ["y1", "y2"]) across.setAttribute(name, view.a + 0.5);
      for (const name of ["x1", "x2"]) down.setAttribute(name, view.b + 0.5);
      ring.setAttribute("cx", view.b + 0.5);
      ring.setAttribute("cy", view.a + 0.5);
      count.textContent = view.counted;
      if (painted === view.given && cells.width === n) return;
      painted = view.given;
      const grey = channels("#8a9199");
      paintCells(cells, n, (row) => (view.given ? colours[state(view.given, row)] : answers[row] < 0 ? colours[4] : grey));
    },
  };
}

// ---- attention ----

function attentionPanel(options) {
  const bars = Array.from({ length: options.heads }, (_, h) => {
    const rows = options.words.map(() => {
      const bar = make("span", { class: "wi-bar" });
      const value = make("span", { class: "wi-number" });
      const label = make("span", { class: "wi-word" });
      return { bar, value, label, element: make("div", { class: "wi-row" }, label, make("span", { class: "wi-rail" }, bar), value) };
    });
    const title = make("p", { class: "wi-name" });
    return { rows, title, element: make("div", { class: "wi-head" }, title, ...rows.map(({ element }) => element)) };
  });
  return {
    element: panel("Attention of each head", `From the position of ${options.words[options.words.length - 1]}, where the answer is read.`,
      make("div", { class: "wi-grid" }, ...bars.map(({ element }) => element))),
    show({ result, off, tokens }) {
      bars.forEach(({ rows, title }, h) => {
        title.textContent = `head ${h}${off.heads[h] ? " (off)" : ""}`;
        rows.forEach(({ bar, value, label }, j) => {
          const share = result.pattern[h * rows.length + j];
          label.textContent = tokens[j];
          value.textContent = share.toFixed(2);
          bar.style.width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
          bar.style.background = off.heads[h] ? "transparent" : "";
        });
      });
    },
  };
}

// ---- neurons ----

function neuronsPanel(options, select) {
  const order = options.clusters.flatMap(({ neurons }, cluster) => neurons.map((neuron) => ({ neuron, cluster })));
  const place = new Map(order.map(({ neuron }, i) => [neuron, i]));
  let view = null;
  const canvas = canvasOf(120, "Activations of the neurons", (context, width, height) => {
    const values = order.map(({ neuron }) => view.result.neurons[neuron]);
    const high = Math.max(...values, 1e-12);
    const low = Math.min(...values, 0);
    const y = (value) => 4 + ((high - value) / (high - low)) * (height - 8);
    const step = width / order.length;
    order.forEach(({ neuron, cluster }, i) => {
      context.fillStyle = view.off.clusters[cluster] ? view.colours.line : view.colourOf(options.clusters[cluster].k);
      if (neuron === view.neuron) context.fillStyle = view.colours.ink;
      const [top, bottom] = [Math.min(y(values[i]), y(0)), Math.max(y(values[i]), y(0))];
      context.fillRect(i * step, top, Math.max(step * 0.85, 0.7), bottom - top);
      if (neuron === view.neuron) context.fillRect(i * step - 1, height - 3, step + 2, 3);
    });
    context.fillStyle = view.colours.line;
    context.fillRect(0, y(0), width, 1);
    let from = 0;
    for (const { neurons } of options.clusters.slice(0, -1)) context.fillRect((from += neurons.length) * step - 0.5, 0, 1, height);
  });
  const box = make("div", { class: "wi-strip", tabindex: 0, role: "application",
    "aria-label": "Neurons by cluster: arrow keys, or a click, choose one" }, canvas.element);
  box.addEventListener("click", (event) => {
    const { left, width } = box.getBoundingClientRect();
    select(order[Math.min(Math.max(Math.floor(((event.clientX - left) / width) * order.length), 0), order.length - 1)].neuron);
  });
  onArrows(box, (rows, columns) => {
    const now = place.get(view.neuron) ?? -1;
    select(order[Math.min(Math.max(now + rows + columns, 0), order.length - 1)].neuron);
  });
  const legend = make("ul", { class: "wi-legend" });
  const named = make("p", { class: "wi-note" });
  return {
    element: panel("Neurons, by cluster", options.clusterNote, box, legend, named),
    show(next) {
      view = next;
      const means = options.clusters.map(({ neurons }) =>
        neurons.reduce((sum, neuron) => sum + Math.abs(view.result.neurons[neuron]), 0) / neurons.length);
      const words = options.clusters.map(({ name, neurons }, i) =>
        `${name}: ${neurons.length} neurons, mean ${plain(means[i])}${view.off.clusters[i] ? " (off)" : ""}`);
      legend.replaceChildren(...words.map((text, i) => make("li", {},
        make("span", { class: "wi-swatch", style: `background: ${view.colourOf(options.clusters[i].k)}` }), text)));
      const { neuron } = view;
      named.textContent = neuron === null ? ""
        : `Neuron ${neuron} of ${options.clusters[order[place.get(neuron)].cluster].name}: ${plain(view.result.neurons[neuron])}.`;
      canvas.draw(`Activations of ${order.length} neurons. ${words.join("; ")}.`);
    },
  };
}

// ---- logits ----

function logitsPanel(options) {
  let view = null;
  const canvas = canvasOf(130, "Logits", (context, width, height) => {
    const { logits } = view.result;
    const [high, low] = [Math.max(...logits, 0), Math.min(...logits, 0)];
    const y = (value) => 4 + ((high - value) / (high - low || 1)) * (height - 8);
    const step = width / logits.length;
    logits.forEach((value, c) => {
      const special = c === view.right ? "#009E73" : c === view.answer ? "#D55E00" : null;
      context.fillStyle = special ?? view.colours.soft;
      const size = Math.max(step * 0.8, special ? 2 : 0.7);
      context.fillRect(c * step + (step - size) / 2, Math.min(y(value), y(0)), size, Math.abs(y(value) - y(0)));
    });
    context.fillStyle = view.colours.line;
    context.fillRect(0, y(0), width, 1);
  });
  const swatch = (colour) => make("span", { class: "wi-swatch", style: `background: ${colour}` });
  const legend = make("ul", { class: "wi-legend" });
  const more = options.names.slice(options.n);
  const outputs = `${options.names[0]} to ${options.names[options.n - 1]}${more.length ? `, then ${more.join(" and ")}` : ""}`;
  return {
    element: panel("Logits", `A bar for each answer, ${outputs}.`, canvas.element, legend),
    show(next) {
      view = next;
      canvas.element.hidden = !view.result.logits;
      if (!view.result.logits) return legend.replaceChildren();
      const of = (c) => `${options.names[c]} (logit ${plain(view.result.logits[c])}, probability ${percent(view.probabilities[c])})`;
      const lines = [];
      if (view.right >= 0) lines.push(make("li", {}, swatch("#009E73"), `right answer: ${of(view.right)}`));
      if (view.answer !== view.right) lines.push(make("li", {}, swatch("#D55E00"), `the network's answer: ${of(view.answer)}`));
      legend.replaceChildren(...lines);
      canvas.draw(`Logits of ${options.outputs} answers: ${lines.map((line) => line.textContent).join("; ")}.`);
    },
  };
}
