// --- legends and keys of colours, as ordinary HTML ---------------------------------------------------------------------

function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const gradient = (colorscale) => `linear-gradient(to right, ${colorscale.map(([stop, c]) => `${c} ${100 * stop}%`).join(", ")})`;

function swatch(trace) {
  const mode = trace.type === "bar" ? "bar" : trace.mode ?? "lines";
  const marker = trace.marker ?? {};
  const colour = trace.fill ? trace.fillcolor : typeof marker.color === "string" ? marker.color : trace.line?.color ?? "gray";
  const box = svg("svg", { viewBox: "0 0 24 12", class: "swatch", "aria-hidden": "true" });
  if (trace.fill) box.append(svg("rect", { x: 2, y: 1, width: 20, height: 10, fill: colour }));
  else if (mode.includes("lines")) {
    box.append(svg("path", { d: "M1 6h22", stroke: trace.line?.color ?? colour, "stroke-width": Math.min(3, trace.line?.width ?? 2),
      "stroke-dasharray": DASHES[trace.line?.dash ?? "solid"].join(" ") || "none" }));
  } else if (marker.colorscale) box.style.background = gradient(marker.colorscale);
  else box.append(svg("circle", { cx: 12, cy: 6, r: 4, fill: (marker.symbol ?? "").includes("open") ? "none" : colour, stroke: colour, "stroke-width": 1.5 }));
  return box;
}

// Entries of a figure's legend: one for each name, or each group of traces.
function entriesOf({ data, layout, tracks, links }) {
  if (layout.showlegend === false) return [];
  const cursors = new Set(tracks.filter(({ cursor }) => cursor).map(({ trace }) => trace));
  const entries = new Map();
  data.forEach((trace, i) => {
    if (trace.type === "heatmap" || cursors.has(i) || !trace.name) return;
    const key = trace.legendgroup ?? trace.name;
    const entry = entries.get(key) ?? { key, traces: [], shown: null };
    entry.traces.push(i);
    if (trace.showlegend !== false) entry.shown ??= i;
    entries.set(key, entry);
  });
  const listed = Array.from(entries.values()).filter(({ shown }) => shown !== null);
  const isAsked = data.some(({ showlegend }) => showlegend === true) || layout.showlegend === true;
  if (listed.length < 2 && !isAsked) return [];
  return listed.map((entry) => ({ ...entry, link: links.find(({ by, trace }) => by === "trace" && entry.traces.includes(trace)) ?? null }));
}

// A legend whose entries select what they stand for, or else show and hide their traces.
function legendOf(panel, choose) {
  const list = html("ul", { class: "legend" });
  for (const entry of entriesOf(panel.figure)) {
    const trace = panel.figure.data[entry.shown];
    const button = html("button", { type: "button", "aria-pressed": "false" }, swatch(trace), trace.name);
    const show = () => {
      const isHidden = panel.figure.data[entry.shown].visible === "legendonly";
      button.classList.toggle("hidden", isHidden);
      button.setAttribute("aria-pressed", String(entry.link ? panel.isChosen(entry.link, entry.link.values[0]) : !isHidden));
      button.title = entry.link ? `Light up ${trace.name} everywhere` : isHidden ? "Show" : "Hide";
    };
    button.addEventListener("click", () => {
      if (entry.link) return choose(entry.link.name, entry.link.values[0]);
      const isHidden = panel.figure.data[entry.shown].visible === "legendonly";
      for (const i of entry.traces) panel.figure.data[i].visible = isHidden ? true : "legendonly";
      panel.repaint();
      show();
    });
    panel.legend.push(show);
    list.append(html("li", {}, button));
    show();
  }
  return list;
}

// Keys of the colours of images: named colours, or the ends of a scale; one for each scale that is shown.
function keysOf({ data }) {
  return data.filter((trace) => trace.type === "heatmap" && trace.showscale !== false && trace.colorbar).map((trace) => {
    const { title, tickvals, ticktext } = trace.colorbar;
    const key = html("p", { class: "key" });
    const name = title?.text ?? title ?? "";
    if (name) key.append(html("span", { class: "key-name" }, name));
    if (tickvals) {
      const [ramp, lo, hi] = [rampOf(trace.colorscale), trace.zmin, trace.zmax];
      tickvals.forEach((value, i) => {
        const at = 4 * levelIn(value, lo, hi);
        const patch = html("span", { class: "patch", "aria-hidden": "true" });
        patch.style.background = `rgb(${ramp[at]},${ramp[at + 1]},${ramp[at + 2]})`;
        key.append(html("span", { class: "key-entry" }, patch, ticktext[i]));
      });
      return key;
    }
    const strip = html("span", { class: "strip", "aria-hidden": "true" });
    strip.style.background = gradient(trace.colorscale);
    const [lo, hi] = rangeOf(trace.z ?? [[0, 1]], trace.zmin, trace.zmax);
    key.append(html("span", { class: "end" }, digits(lo, 3)), strip, html("span", { class: "end" }, digits(hi, 3)));
    return key;
  });
}
