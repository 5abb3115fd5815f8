// --- axes: from values to pixels, and their marks ----------------------------------------------------------------------

// A scale of an axis of plotly's layout over pixels from `start` to `end`.
function scaleOf(axis, start, end) {
  const [lo, hi] = axis.range;
  const order = axis.type === "category" ? new Map(axis.categoryarray.map((name, i) => [String(name), i])) : null;
  const number = axis.type === "log" ? (v) => (v > 0 ? Math.log10(v) : NaN)
    : order ? (v) => order.get(String(v)) ?? NaN : (v) => v;
  const pixel = (v) => (v === null || v === undefined ? NaN : start + ((number(v) - lo) / (hi - lo)) * (end - start));
  const back = (px) => {
    const at = lo + ((px - start) / (end - start)) * (hi - lo);
    return axis.type === "log" ? 10 ** at : at;
  };
  return { axis, start, end, number, pixel, back };
}

function niceStep(span, most) {
  const rough = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= rough * 0.999);
}

const OVERHANG = 24; // what an axis's last label may reach beyond it

// Marks of an axis: [{at: value, text}], as many as fit; beside each other those that would overlap are left out.
function marksOf(axis, pixels, isVertical) {
  const marks = allMarks(axis, pixels, isVertical);
  if (isVertical) return marks;
  const scale = scaleOf(axis, 0, pixels);
  let end = -Infinity;
  return marks.map((mark) => ({ ...mark, px: scale.pixel(mark.at), half: widthOf(mark.text) / 2 + 3 })).sort((a, b) => a.px - b.px)
    .filter(({ px, half }) => px - half >= end && px + half <= pixels + OVERHANG && (end = px + half));
}

function allMarks(axis, pixels, isVertical) {
  const [lo, hi] = [Math.min(...axis.range), Math.max(...axis.range)];
  const inside = (v) => v >= lo - 1e-9 * (hi - lo) && v <= hi + 1e-9 * (hi - lo);
  if (axis.type === "category") return categoryMarks(axis, pixels, isVertical);
  if (axis.tickvals) return thinned(axis.tickvals.map((at, i) => ({ at, text: String(axis.ticktext?.[i] ?? at) })), pixels / 30);
  if (axis.type === "log") return logMarks(lo, hi, pixels, isVertical);
  const isPercent = /%$/.test(axis.tickformat ?? "");
  const step = niceStep(hi - lo, pixels / (isVertical ? 34 : 64));
  const marks = [];
  for (let i = Math.ceil(lo / step - 1e-9); inside(i * step); i++) {
    const at = Number((i * step).toPrecision(12));
    const places = Math.max(0, -Math.floor(Math.log10(step * (isPercent ? 100 : 1)) + 1e-9));
    const exact = Math.max(6, Math.ceil(Math.log10(Math.abs(at) / step + 1)) + 1);
    marks.push({ at, text: isPercent ? `${minus((100 * at).toFixed(places))}\u00a0%` : digits(at, exact) });
  }
  return marks;
}

function categoryMarks({ categoryarray }, pixels, isVertical) {
  const all = categoryarray.map((name) => ({ at: String(name), text: String(name) }));
  const widest = Math.max(...all.map(({ text }) => text.length)) * 6.5 + 10;
  return thinned(all, pixels / (isVertical ? 14 : widest));
}

function thinned(marks, room) {
  const every = Math.max(1, Math.ceil(marks.length / Math.max(1, room)));
  return marks.filter((_, i) => i % every === 0);
}

function logMarks(lo, hi, pixels, isVertical) {
  const room = pixels / (isVertical ? 26 : 52);
  const decades = hi - lo;
  const between = decades * 3 < room && decades < 2 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(decades / room));
  const marks = [];
  for (let power = Math.floor(lo); power <= Math.ceil(hi); power++) {
    if (power % every) continue;
    for (const m of between) {
      const exponent = power + Math.log10(m);
      if (exponent < lo - 1e-9 || exponent > hi + 1e-9) continue;
      const plain = power >= -3 && power <= 5;
      const text = plain ? digits(m * 10 ** power, 3) : (m === 1 ? "" : `${m} \u00d7 `) + `10${raised(power)}`;
      marks.push({ at: m * 10 ** power, text });
    }
  }
  return marks.length ? marks : closeMarks(lo, hi, pixels / (isVertical ? 26 : 64));
}

// Marks of a stretch of a log axis without a power of ten: round numbers.
function closeMarks(lo, hi, room) {
  const ends = { range: [10 ** lo, 10 ** hi], type: "linear" };
  return allMarks(ends, 64 * Math.max(1, room), false);
}
