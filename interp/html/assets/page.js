"use strict";
// One state, {step}. The slider, the play button and the address write it; every figure reads it.
(() => {
  const CONFIG = { showSendToCloud: false, displaylogo: false, responsive: true };
  const KINDS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };
  const PAPER_PX = 680;
  const CLEAR = "rgba(0,0,0,0)";
  const byId = (id) => document.getElementById(id);
  const page = JSON.parse(byId("page.data").textContent);
  const state = { step: page.steps.length ? page.steps[page.steps.length - 1] : null };
  const isDark = matchMedia("screen and (prefers-color-scheme: dark)");
  const isNarrow = matchMedia("screen and (max-width: 640px)");
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
  const slider = byId("page.slider");
  const play = byId("page.play");
  let printing = false;

  // --- tracks: packed arrays, and views of them -------------------------------------------------------

  function unpack({ dtype, b64, words, lo, hi }) {
    const bytes = atob(b64);
    const buffer = new Uint8Array(bytes.length);
    for (let i = 0; i < bytes.length; i++) buffer[i] = bytes.charCodeAt(i);
    const codes = new KINDS[dtype](buffer.buffer);
    if (words) return Array.from(codes, (code) => words[code]);
    if (dtype === "f4") return codes;
    const top = dtype === "u1" ? 254 : 65534;
    return Float64Array.from(codes, (code) => (code > top ? NaN : lo + ((hi - lo) * code) / top));
  }

  function view(track, i) {
    track.values ??= unpack(track);
    const [, n = 1, m = 1] = track.shape;
    const part = (from, size) => track.values[track.words ? "slice" : "subarray"](from, from + size);
    if (track.shape.length === 1) return track.values[i];
    if (track.shape.length === 2) return part(i * n, n);
    return Array.from({ length: n }, (_, row) => part((i * n + row) * m, m));
  }

  function put(trace, attr, value) {
    const keys = attr.split(".");
    const last = keys.pop();
    let node = trace;
    for (const key of keys) node = node[key] ??= {};
    node[last] = value;
  }

  // Steps span decades from 0 on, so distances are in log10(step + 1); a tie goes to the earlier step.
  function nearest(steps, step) {
    const away = (s) => Math.abs(Math.log10(s + 1) - Math.log10(step + 1));
    return steps.reduce((best, s, i) => (away(s) < away(steps[best]) ? i : best), 0);
  }

  // --- figures ----------------------------------------------------------------------------------------

  const figures = page.figures.map((figure) => {
    const element = byId(figure.id);
    const find = (name) => element.querySelector(name);
    const { legend, width } = figure.layout;
    return Object.assign(figure, { element, plot: find(".plot"), text: find(".step-text"), note: find(".note"),
      csv: find(".csv"), choice: find(".choice"), legend, width, inView: false, drawn: null });
  });

  const isPart = (figure) => figure.steps.join() !== page.steps.join();
  const index = (figure) => nearest(figure.steps, figure.opens ?? state.step);

  function say(figure) {
    if (!figure.steps.length) return;
    const i = index(figure);
    const shown = `shows step ${figure.steps[i].toLocaleString("en")}`;
    if (figure.texts) figure.text.textContent = figure.texts[i];
    if (figure.opens !== null) figure.note.textContent = `${shown} until the slider moves`;
    else if (isPart(figure)) figure.note.textContent = `${shown} (nearest of its ${figure.steps.length} snapshots)`;
    else figure.note.textContent = "";
  }

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const scheme = isDark.matches && !printing ? "dark" : "light";
    return { ink: style.getPropertyValue(`--ink-${scheme}`), line: style.getPropertyValue(`--line-${scheme}`),
      panel: style.getPropertyValue(`--panel-${scheme}`) };
  }

  // The figure's own layout, with what the page decides: colours by scheme, width, the legend's place.
  function dress(figure) {
    const { ink, line, panel } = colours();
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, tickcolor: line };
    const solid = { ...axis, showbackground: false };
    const { data, layout = {} } = page.templates[figure.template];
    const margin = { t: 36, r: 16, b: 48, l: isNarrow.matches ? 44 : 60, ...layout.margin };
    const themed = { ...layout, margin, xaxis: { ...layout.xaxis, ...axis }, yaxis: { ...layout.yaxis, ...axis },
      scene: { ...layout.scene, xaxis: solid, yaxis: solid, zaxis: solid },
      polar: { ...layout.polar, bgcolor: CLEAR, angularaxis: axis, radialaxis: axis } };
    Object.assign(figure.layout, {
      template: { data, layout: themed },
      paper_bgcolor: CLEAR,
      plot_bgcolor: CLEAR,
      font: { ...figure.layout.font, color: ink },
      hoverlabel: { bgcolor: panel, bordercolor: line, font: { color: ink } },
      modebar: { bgcolor: CLEAR, color: line, activecolor: ink },
      legend: isNarrow.matches ? { ...figure.legend, orientation: "h", x: 0, y: -0.25, yanchor: "top" } : figure.legend,
      width: printing ? Math.min(PAPER_PX, figure.width ?? PAPER_PX) : undefined,
    });
  }

  // See html/computed.py.
  function compute({ computed, choice, data, text }) {
    choice.value = Math.round(Math.min(Math.max(choice.value, choice.min), choice.max));
    for (const array of Object.values(computed.arrays)) array.values ??= unpack(array);
    const made = window.computed[computed.script](computed.arrays, Number(choice.value));
    data[computed.trace].z = made.z;
    text.textContent = made.text;
  }

  function draw(figure) {
    const i = figure.steps.length ? index(figure) : 0;
    const look = [i, figure.choice?.value, isDark.matches, isNarrow.matches, printing].join();
    if (figure.drawn === look) return figure.ready;
    figure.drawn = look;
    for (const track of figure.tracks) put(figure.data[track.trace], track.attr, view(track, i));
    if (figure.computed) compute(figure);
    dress(figure);
    figure.ready = Plotly.react(figure.plot, figure.data, figure.layout, CONFIG);
    return figure.ready;
  }

  const drawSeen = () => Promise.all(figures.filter((figure) => figure.inView).map(draw));

  // --- the state --------------------------------------------------------------------------------------

  let frame = 0;
  let settled = 0;

  function show() {
    frame = 0;
    figures.forEach(say);
    if (slider) {
      const i = page.steps.indexOf(state.step);
      slider.value = i;
      slider.setAttribute("aria-valuetext", page.labels[i]);
      byId("page.label").textContent = page.labels[i];
    }
    return drawSeen();
  }

  function go(step) {
    if (step === state.step) return;
    state.step = step;
    for (const figure of figures) figure.opens = null;
    frame ||= requestAnimationFrame(show);
    clearTimeout(settled); // browsers allow few changes of the address a second
    settled = setTimeout(() => history.replaceState(null, "", `#step=${state.step}`), 200);
  }

  function flush() {
    cancelAnimationFrame(frame);
    show();
    return Promise.all(figures.map(draw));
  }

  function readAddress() {
    const found = /^#step=(\d+)$/.exec(location.hash);
    if (found && page.steps.length) go(page.steps[nearest(page.steps, Number(found[1]))]);
  }

  // --- playing ----------------------------------------------------------------------------------------

  let timer = 0;

  function stop() {
    clearTimeout(timer);
    timer = 0;
    play.textContent = "\u25b6";
    play.setAttribute("aria-label", "Play");
  }

  function advance() {
    const i = page.steps.indexOf(state.step);
    if (i + 1 >= page.steps.length) return stop();
    go(page.steps[i + 1]);
    timer = setTimeout(advance, isCalm.matches ? 1000 : 180);
  }

  function start() {
    if (state.step === page.steps[page.steps.length - 1]) go(page.steps[0]);
    play.textContent = "\u275a\u275a";
    play.setAttribute("aria-label", "Pause");
    timer = setTimeout(advance, 180);
  }

  // --- the shown numbers as a file --------------------------------------------------------------------

  function cell(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "";
    const text = typeof value === "number" ? String(Number(value.toPrecision(7))) : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function* rows(trace) {
    const at = (values, i) => (values ? values[i] : i);
    const isGrid = trace.z?.length && typeof trace.z[0] === "object";
    if (isGrid) {
      for (let r = 0; r < trace.z.length; r++)
        for (let c = 0; c < trace.z[r].length; c++) yield [trace.name, at(trace.x, c), at(trace.y, r), trace.z[r][c]];
    } else {
      const n = Math.max(trace.x?.length ?? 0, trace.y?.length ?? 0);
      for (let i = 0; i < n; i++) yield [trace.name, at(trace.x, i), at(trace.y, i), trace.z?.[i]];
    }
  }

  async function download(figure) {
    await draw(figure);
    // plotly keeps the decoded arrays of a figure in _fullData
    const shown = figure.plot._fullData.filter((trace) => trace.visible === true);
    const table = [["trace", "x", "y", "z"], ...shown.flatMap((trace) => [...rows(trace)])];
    const text = table.map((row) => row.map(cell).join(",") + "\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = figure.id + (figure.steps.length ? `-step-${figure.steps[index(figure)]}` : "") + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // --- wiring -----------------------------------------------------------------------------------------

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const figure = figures.find((f) => f.element === entry.target);
      figure.inView = entry.isIntersecting;
    }
    drawSeen();
  }, { rootMargin: "300px" });

  const links = new Map(Array.from(document.querySelectorAll("nav a"), (a) => [a.hash.slice(1), a]));
  const read = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      for (const [id, a] of links) a.ariaCurrent = id === target.id ? "location" : null;
    }
  }, { rootMargin: "-20% 0px -75% 0px" });

  function print(isOn) {
    printing = isOn;
    document.documentElement.classList.toggle("printing", isOn);
    return isOn ? flush() : drawSeen();
  }

  for (const figure of figures) {
    seen.observe(figure.element);
    figure.csv.addEventListener("click", () => download(figure));
    figure.choice?.addEventListener("change", () => draw(figure));
  }
  document.querySelectorAll("main > section").forEach((section) => read.observe(section));
  if (slider) {
    slider.addEventListener("input", () => (stop(), go(page.steps[slider.value])));
    play.addEventListener("click", () => (timer ? stop() : start()));
    addEventListener("hashchange", readAddress);
  }
  for (const query of [isDark, isNarrow]) query.addEventListener("change", drawSeen);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  readAddress();
  show();
  window.page = { state, flush };
})();
