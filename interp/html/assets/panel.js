// --- a panel: one figure, painted -----------------------------------------------------------------------------------------------

class Panel {
  constructor(element, figure, views, templates) {
    this.element = element;
    this.figure = { ...figure, data: revive(figure.data, views), template: templates[figure.template] };
    this.tracks = figure.tracks.map((track) => ({ ...track, view: views[track.values.array] }));
    this.figure.tracks = this.tracks;
    this.moving = new Set(this.tracks.map(({ trace }) => trace));
    this.opens = hasMoved ? null : figure.opens;
    this.legend = [];
    this.inView = false;
    this.drawn = {};
    this.focus = null;
    const find = (name) => element.querySelector(name);
    Object.assign(this, { plot: find(".plot"), text: find(".step-text"), note: find(".note") });
    this.baseHeight = this.plot.dataset.height ? Number(this.plot.dataset.height) : figure.layout.height;
    this.resolve();
    if (figure.plotly === null) this.build();
    this.say();
  }

  build() {
    this.svg = svg("svg", { class: "frame", "aria-hidden": "true" });
    this.still = html("canvas", { class: "still-marks", "aria-hidden": "true" });
    this.live = html("canvas", { class: "live-marks", "aria-hidden": "true" });
    this.plot.append(this.still, this.live, this.svg);
    this.plot.classList.add("painted");
    const legend = legendOf(this, choose);
    const head = html("div", { class: "keys" }, ...(legend.children.length ? [legend] : []), ...keysOf({ data: this.shown }));
    if (head.children.length) this.plot.before(head);
    wirePicking(this);
  }

  // --- values at the step ------------------------------------------------------------------------------------------------

  at() {
    const { steps } = this.figure;
    if (!steps.length) return [0, 0];
    if (this.opens !== null) return [steps.indexOf(this.opens), 0];
    return printing ? [nearest(steps, state.step), 0] : spot(steps, state.step);
  }

  step() {
    const { steps } = this.figure;
    return steps.length ? steps[nearest(steps, this.opens ?? state.step)] : null;
  }

  // The figure's traces with the values of the step; `exact` gives those of the nearest snapshot, without fading.
  resolve(exact = false) {
    const { data, steps } = this.figure;
    const [i, share] = exact ? [steps.length ? steps.indexOf(this.step()) : 0, 0] : this.at();
    this.shown ??= data.map((trace) => ({ ...trace, ...(trace.marker ? { marker: { ...trace.marker } } : {}) }));
    for (const t of this.moving) this.shown[t].visible = data[t].visible;
    for (const track of this.tracks) {
      const keys = track.attr.split(".");
      const last = keys.pop();
      let node = this.shown[track.trace];
      for (const key of keys) node = node[key] ??= {};
      node[last] = track.cursor ? valueAt(track, share < 0.5 ? i : i + 1) : between(track, i, share);
    }
    return this.shown;
  }

  // --- painting ------------------------------------------------------------------------------------------------------------

  tracesIn(box) {
    return this.figure.data.flatMap((trace, t) => (`${trace.xaxis ?? "x"} ${trace.yaxis ?? "y"}` === box.key ? [t] : []));
  }

  arrange() {
    const { layout } = this.figure;
    const paper = this.element.classList.contains("compact") ? PAPER_PX.lead : PAPER_PX.figure;
    const width = Math.floor(printing ? paper : this.plot.clientWidth);
    const { boxes, height } = arranged(boxesOf(this.figure), width, this.baseHeight * (printing ? 0.72 : 1));
    this.boxes = boxes;
    this.size = [width, height];
    this.plot.style.height = `${height}px`;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.svg.replaceChildren(...boxes.map((box) => axesOf(box, levelsOf(layout, box))));
    const ratio = printing ? 2 : Math.min(2, devicePixelRatio || 1);
    for (const canvas of [this.still, this.live]) {
      canvas.width = width * ratio;
      canvas.height = height * ratio;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    this.ratio = ratio;
  }

  paint(canvas, chosenTraces) {
    const ctx = canvas.getContext("2d");
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    ctx.clearRect(0, 0, ...this.size);
    for (const box of this.boxes) for (const t of this.tracesIn(box)) {
      const trace = this.shown[t];
      if (!chosenTraces(t) || this.figure.data[t].visible === "legendonly") continue;
      if (this.isCursor(t)) this.paintCursor(ctx, trace, box);
      else paintTrace(ctx, trace, box, this.lit(t), this.colours, this.ratio);
    }
    return ctx;
  }

  // A line from edge to edge, with a rim that sets it off from an image.
  paintCursor(ctx, trace, box) {
    const { soft, panel } = this.colours;
    const edges = [box.ys.back(box.top + box.height), box.ys.back(box.top)];
    for (const [color, width] of [...(box.hasImage ? [[panel, 3]] : []), [soft, 1.5]])
      paintTrace(ctx, { ...trace, y: edges, line: { color, width, dash: box.hasImage ? "solid" : "dot" } }, box, { whole: null }, this.colours);
  }

  isCursor(t) {
    return this.tracks.some((track) => track.cursor && track.trace === t);
  }

  draw(always = false) {
    if (!(this.inView || always)) return;
    if (this.closely) return drawClosely(this);
    if (this.figure.plotly !== null) return lookClosely(this);
    const look = [this.plot.clientWidth, isDark.matches, printing].join();
    const [i, share] = this.at();
    const chosen = this.figure.links.map(({ name }) => chosenIn(name).join()).join(";");
    const mark = `${look} ${chosen} ${this.hidden ?? ""}`;
    if (this.drawn.look !== look) {
      this.colours = colours();
      this.arrange();
    }
    if (this.drawn.still !== mark) {
      this.paint(this.still, (t) => !this.moving.has(t));
      for (const show of this.legend) show();
    }
    const moment = `${mark} ${i} ${share} ${this.focus?.key ?? ""}`;
    if (this.drawn.live !== moment) {
      this.resolve();
      // of two canvases painted just before printing, Chromium prints the upper one only
      this.mark(this.paint(this.live, (t) => printing || this.moving.has(t)));
    }
    this.drawn = { look, still: mark, live: moment };
  }

  repaint() {
    this.hidden = (this.hidden ?? 0) + 1;
    this.draw(true);
  }

  changed() {
    this.say();
    this.draw();
  }

  redress() {
    this.changed();
  }

  // --- what is chosen --------------------------------------------------------------------------------------------------------

  isChosen({ name }, value) {
    return chosenIn(name).includes(value);
  }

  lit(t) {
    const links = this.figure.links.filter((link) => link.trace === t && chosenIn(link.name).length);
    const traces = links.filter(({ by }) => by === "trace");
    const points = links.filter(({ by }) => by === "point" || (by !== "trace" && this.figure.data[t].type === "bar"));
    const siblings = this.figure.links.some((link) => link.by === "trace" && this.isChosen(link, link.values[0]));
    const values = (link, i) => (link.by === "point" ? link.values[i] : this.shown[t][link.by][i]);
    return {
      whole: traces.length && siblings ? traces.some((link) => this.isChosen(link, link.values[0])) : null,
      some: points.some((link) => this.indices(t).some((i) => this.isChosen(link, values(link, i)))),
      of: (i) => points.some((link) => this.isChosen(link, values(link, i))),
    };
  }

  indices(t) {
    const { x, y } = this.shown[t];
    return Array.from({ length: (x ?? y ?? []).length }, (_, i) => i);
  }

  // Whether a link to several selections has nothing to add: the same trace shows each of them, and all are chosen.
  isOutdone({ name, trace }) {
    const own = facts.shared[name];
    return Boolean(own) && own.every((one) => state[one] !== null && this.figure.links.some((other) => other.trace === trace && other.name === one));
  }

  // Outlines of chosen rows and columns of images, and of the element that the keyboard is at.
  mark(ctx) {
    ctx.globalAlpha = 1;
    for (const link of this.figure.links) {
      if (link.by !== "x" && link.by !== "y") continue;
      if (this.figure.data[link.trace].type !== "heatmap" || this.isOutdone(link)) continue;
      const box = this.boxes.find((b) => this.tracesIn(b).includes(link.trace));
      for (const value of chosenIn(link.name)) outline(ctx, this.shown[link.trace], box, link.by, value, this.colours);
    }
    for (const box of this.boxes) if (this.tracesIn(box).some((t) => this.lit(t).whole) && this.boxes.length > 1) {
      ctx.strokeStyle = this.colours.accent;
      ctx.lineWidth = 2;
      ctx.strokeRect(box.left, box.top, box.width, box.height);
    }
    if (!this.focus) return;
    const { box, x, y } = this.focus;
    const [px, py] = [box.xs.pixel(x), box.ys.pixel(y)];
    ctx.strokeStyle = this.colours.accent;
    ctx.lineWidth = 2.5;
    ctx.strokeRect(px - 6, py - 6, 12, 12);
  }

  // --- words ---------------------------------------------------------------------------------------------------------------

  say() {
    const { steps, texts } = this.figure;
    if (!steps.length) return;
    const [i, share] = this.at();
    const near = steps.indexOf(this.step());
    if (texts) this.text.textContent = texts[near];
    const isPart = steps.join() !== facts.steps.join();
    if (this.opens !== null) this.note.textContent = `shows step ${counted(steps[i])} until the slider moves`;
    else if (isPart && share) this.note.textContent = `drawn between its snapshots of steps ${counted(steps[i])} and ${counted(steps[i + 1])}`;
    else if (isPart) this.note.textContent = `shows step ${counted(steps[i])} (one of its ${steps.length} snapshots)`;
    else this.note.textContent = "";
  }
}

// Widths of plots in print: three of the lead's figures, or two others, side by side.
const PAPER_PX = { lead: 222, figure: 440 };

function outline(ctx, trace, box, by, value, { ink, panel }) {
  const isX = by === "x";
  const [n, m] = [trace.z.length, trace.z[0].length];
  const centres = trace[by] ?? Array.from({ length: isX ? m : n }, (_, i) => i);
  const edges = edgesOf(centres, isX ? box.xs : box.ys);
  const i = Array.from(centres).findIndex((centre) => Number(centre) === value);
  if (i < 0) return;
  const [from, to] = [Math.min(edges[i], edges[i + 1]), Math.max(edges[i], edges[i + 1])];
  const rect = isX ? [from - 0.5, box.top, to - from + 1, box.height] : [box.left, from - 0.5, box.width, to - from + 1];
  ctx.lineWidth = 3;
  ctx.strokeStyle = panel;
  ctx.strokeRect(...rect);
  ctx.lineWidth = 1.5;
  ctx.strokeStyle = ink;
  ctx.strokeRect(...rect);
}
