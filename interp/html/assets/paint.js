// --- painters: lines, points, bars, images on a canvas ------------------------------------------------------------------

const FAINT = 0.25;
const CANVAS = document.createElement("canvas");

// 256 colours of a colour scale, as [r, g, b].
const ramps = new Map();
function rampOf(colorscale) {
  const key = JSON.stringify(colorscale);
  if (ramps.has(key)) return ramps.get(key);
  CANVAS.width = 256;
  CANVAS.height = 1;
  const ctx = CANVAS.getContext("2d", { willReadFrequently: true });
  const gradient = ctx.createLinearGradient(0, 0, 256, 0);
  for (const [stop, colour] of colorscale) gradient.addColorStop(stop, colour);
  ctx.clearRect(0, 0, 256, 1);
  ctx.fillStyle = gradient;
  ctx.fillRect(0, 0, 256, 1);
  const ramp = ctx.getImageData(0, 0, 256, 1).data;
  ramps.set(key, ramp);
  return ramp;
}

function rangeOf(values, lo, hi) {
  if (lo !== undefined && hi !== undefined) return [lo, hi];
  let [least, most] = [Infinity, -Infinity];
  const rows = values.length && typeof values[0] === "object" && values[0] !== null ? values : [values];
  for (const row of rows) for (const v of row) {
    if (v === null) continue; // absent
    if (v < least) least = v;
    if (v > most) most = v;
  }
  return [lo ?? least, hi ?? most];
}

const levelIn = (value, lo, hi) => Math.max(0, Math.min(255, Math.floor(((value - lo) / (hi - lo || 1)) * 256)));

// Colours of points or bars as CSS, one for each or one for all.
function coloursOf(marker, fallback) {
  const { color, colorscale, cmin, cmax } = marker ?? {};
  if (color === undefined || color === null || typeof color === "string") return () => color ?? fallback;
  if (typeof color[0] === "string") return (i) => color[i];
  const [ramp, [lo, hi]] = [rampOf(colorscale), rangeOf(color, cmin, cmax)];
  return (i) => {
    const at = 4 * levelIn(color[i], lo, hi);
    return Number.isFinite(color[i]) ? `rgb(${ramp[at]},${ramp[at + 1]},${ramp[at + 2]})` : "rgba(128,128,128,.5)";
  };
}

const DASHES = { solid: [], dash: [7, 5], dot: [2, 3], dashdot: [8, 4, 2, 4] };
const numbersOf = (trace, letter) => {
  if (trace[letter]) return trace[letter];
  const other = trace[letter === "x" ? "y" : "x"];
  return Array.from({ length: other?.length ?? 0 }, (_, i) => i);
};

function paintLine(ctx, trace, { xs, ys }, lit, colours) {
  const [x, y] = [numbersOf(trace, "x"), numbersOf(trace, "y")];
  const line = trace.line ?? {};
  ctx.globalAlpha = (trace.opacity ?? 1) * (lit.whole === false ? FAINT : 1);
  ctx.strokeStyle = line.color ?? colours.ink;
  ctx.lineWidth = (line.width ?? 2) + (lit.whole ? 1.5 : 0);
  ctx.setLineDash(DASHES[line.dash ?? "solid"]);
  ctx.lineJoin = "round";
  ctx.beginPath();
  let isDown = false;
  for (let i = 0; i < x.length; i++) {
    const [px, py] = [xs.pixel(x[i]), ys.pixel(y[i])];
    if (Number.isFinite(px) && Number.isFinite(py)) {
      if (isDown) ctx.lineTo(px, py);
      else ctx.moveTo(px, py);
      isDown = true;
    } else isDown = false;
  }
  if (trace.fill) {
    ctx.fillStyle = trace.fillcolor;
    ctx.fill();
  } else ctx.stroke();
  ctx.setLineDash([]);
}

const SHAPES = {
  circle: (ctx, r) => ctx.arc(0, 0, r, 0, 7),
  diamond: (ctx, r) => [[0, -r], [r, 0], [0, r], [-r, 0], [0, -r]].forEach((at, i) => ctx[i ? "lineTo" : "moveTo"](...at)),
  square: (ctx, r) => ctx.rect(-r, -r, 2 * r, 2 * r),
  "triangle-up": (ctx, r) => [[0, -r], [r, r], [-r, r], [0, -r]].forEach((at, i) => ctx[i ? "lineTo" : "moveTo"](...at)),
  x: (ctx, r) => (ctx.moveTo(-r, -r), ctx.lineTo(r, r), ctx.moveTo(-r, r), ctx.lineTo(r, -r)),
  cross: (ctx, r) => (ctx.moveTo(-r, 0), ctx.lineTo(r, 0), ctx.moveTo(0, -r), ctx.lineTo(0, r)),
};

function paintPoints(ctx, trace, { xs, ys }, lit, colours) {
  const [x, y] = [numbersOf(trace, "x"), numbersOf(trace, "y")];
  const marker = trace.marker ?? {};
  const colour = coloursOf(marker, trace.line?.color ?? colours.ink);
  const symbol = marker.symbol ?? "circle";
  const [kind] = symbol.split(/-(?:open|thin)/);
  const isOpen = symbol.includes("open") || kind === "x" || kind === "cross";
  const radius = (marker.size ?? 6) / 2;
  const alpha = (marker.opacity ?? trace.opacity ?? 1) * (lit.whole === false ? 0.4 : 1);
  const order = Array.from({ length: x.length }, (_, i) => i);
  if (lit.some) order.sort((a, b) => Number(lit.of(a)) - Number(lit.of(b)));
  for (const i of order) {
    const [px, py] = [xs.pixel(x[i]), ys.pixel(y[i])];
    if (!Number.isFinite(px) || !Number.isFinite(py)) continue;
    const isLit = lit.some && lit.of(i);
    ctx.globalAlpha = lit.some && !isLit ? Math.min(alpha, 0.35) : alpha;
    ctx.translate(px, py);
    ctx.beginPath();
    SHAPES[kind](ctx, radius * (isLit ? 1.35 : 1));
    ctx.strokeStyle = ctx.fillStyle = colour(i);
    if (isOpen) {
      ctx.lineWidth = marker.line?.width ?? 1.5;
      ctx.stroke();
    } else ctx.fill();
    if (isLit) {
      ctx.globalAlpha = 1;
      ctx.lineWidth = 2;
      ctx.strokeStyle = colours.ink;
      ctx.beginPath();
      ctx.arc(0, 0, radius * 1.35 + 2.5, 0, 7);
      ctx.stroke();
    }
    ctx.translate(-px, -py);
  }
  if (trace.error_y) paintErrors(ctx, trace, xs, ys, colour);
}

function paintErrors(ctx, { error_y: { array }, ...trace }, xs, ys, colour) {
  const [x, y] = [numbersOf(trace, "x"), numbersOf(trace, "y")];
  ctx.globalAlpha = 1;
  ctx.lineWidth = 1;
  for (let i = 0; i < x.length; i++) {
    const [px, high, low] = [xs.pixel(x[i]), ys.pixel(y[i] + array[i]), ys.pixel(y[i] - array[i])];
    if (![px, high, low].every(Number.isFinite)) continue;
    ctx.strokeStyle = colour(i);
    ctx.beginPath();
    ctx.moveTo(px, high);
    ctx.lineTo(px, low);
    ctx.stroke();
  }
}

function paintBars(ctx, trace, { xs, ys }, lit, colours) {
  const isFlat = trace.orientation === "h";
  const [along, length] = isFlat ? [ys, xs] : [xs, ys];
  const [at, size] = [numbersOf(trace, isFlat ? "y" : "x"), numbersOf(trace, isFlat ? "x" : "y")];
  const colour = coloursOf(trace.marker, colours.ink);
  const places = Array.from(at, (value) => along.pixel(value)).filter(Number.isFinite).sort((a, b) => a - b);
  const step = Math.min(...places.slice(1).map((px, i) => px - places[i]).filter((gap) => gap > 0), Math.abs(along.end - along.start) / 2);
  const zero = Number.isFinite(length.pixel(0)) ? length.pixel(0) : length.start;
  for (let i = 0; i < at.length; i++) {
    const [middle, end] = [along.pixel(at[i]), length.pixel(size[i])];
    if (!Number.isFinite(middle) || !Number.isFinite(end)) continue;
    ctx.globalAlpha = (trace.opacity ?? 1) * (lit.some && !lit.of(i) ? 0.3 : 1);
    ctx.fillStyle = colour(i);
    const [start, wide] = [middle - 0.4 * step, 0.8 * step];
    if (isFlat) ctx.fillRect(Math.min(zero, end), start, Math.abs(end - zero), wide);
    else ctx.fillRect(start, Math.min(zero, end), wide, Math.abs(end - zero));
  }
}

// Cells are midway between centres, on log axes as well.
function edgesOf(centres, scale) {
  const at = Array.from(centres, (value) => scale.pixel(value));
  if (at.length === 1) {
    const half = Math.abs(scale.pixel(Number(centres[0]) + 0.5) - at[0]) || Math.abs(scale.end - scale.start) / 2;
    return [at[0] - half, at[0] + half];
  }
  const middles = at.slice(1).map((px, i) => (px + at[i]) / 2);
  return [2 * at[0] - middles[0], ...middles, 2 * at[at.length - 1] - middles[middles.length - 1]];
}

// For each of `count` pixels from `start` on, the cell that lies under its middle; -1 outside.
function cellsUnder(edges, start, count, ratio) {
  const cells = new Int32Array(count).fill(-1);
  for (let i = 0; i + 1 < edges.length; i++) {
    const [from, to] = [Math.min(edges[i], edges[i + 1]), Math.max(edges[i], edges[i + 1])];
    for (let px = Math.max(0, Math.ceil((from - start) * ratio - 0.5)); px < Math.min(count, (to - start) * ratio - 0.5); px++) cells[px] = i;
  }
  return cells;
}

const isEven = (edges) => edges.every((px, i) =>
  Math.abs(px - edges[0] - (i * (edges[edges.length - 1] - edges[0])) / (edges.length - 1)) < 0.5);
const counted0 = (n) => Array.from({ length: n }, (_, i) => i);

// One pixel a cell, which the browser enlarges; where cells differ in size, one for each pixel of the screen.
function paintImage(ctx, trace, box, ratio) {
  const { z } = trace;
  const [n, m] = [z.length, z[0].length];
  const across = edgesOf(trace.x ?? counted0(m), box.xs);
  const down = edgesOf(trace.y ?? counted0(n), box.ys);
  ctx.globalAlpha = trace.opacity ?? 1;
  ctx.imageSmoothingEnabled = false;
  if (isEven(across) && isEven(down)) {
    fillCanvas(trace, counted0(n), counted0(m));
    return enlarged(ctx, across, down);
  }
  const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  fillCanvas(trace, cellsUnder(down, box.top, height, ratio), cellsUnder(across, box.left, width, ratio));
  ctx.drawImage(CANVAS, box.left, box.top, box.width, box.height);
}

function fillCanvas({ z, colorscale, zmin, zmax }, rows, columns) {
  const [ramp, [lo, hi]] = [rampOf(colorscale), rangeOf(z, zmin, zmax)];
  const image = new ImageData(columns.length, rows.length);
  let at = -4;
  for (const r of rows) for (const c of columns) {
    at += 4;
    const value = r < 0 || c < 0 ? null : z[r][c];
    if (value === null || Number.isNaN(value)) continue;
    const level = 4 * levelIn(value, lo, hi);
    for (let k = 0; k < 3; k++) image.data[at + k] = ramp[level + k];
    image.data[at + 3] = 255;
  }
  CANVAS.width = columns.length;
  CANVAS.height = rows.length;
  CANVAS.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
}

function enlarged(ctx, across, down) {
  const [x0, x1, y0, y1] = [across[0], across[across.length - 1], down[0], down[down.length - 1]];
  ctx.save();
  ctx.translate(x0, y0);
  ctx.scale(Math.sign(x1 - x0), Math.sign(y1 - y0));
  ctx.drawImage(CANVAS, 0, 0, Math.abs(x1 - x0), Math.abs(y1 - y0));
  ctx.restore();
}

function paintTrace(ctx, trace, box, lit, colours, ratio) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(box.left - 6, box.top - 6, box.width + 12, box.height + 12);
  ctx.clip();
  if (trace.type === "heatmap") paintImage(ctx, trace, box, ratio);
  else if (trace.type === "bar") paintBars(ctx, trace, box, lit, colours);
  else {
    const mode = trace.mode ?? "lines";
    if (mode.includes("lines")) paintLine(ctx, trace, box, lit, colours);
    if (mode.includes("markers")) paintPoints(ctx, trace, box, lit, colours);
  }
  ctx.restore();
}
