// --- the still part of a figure: boxes, axes, titles ------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const ruler = document.createElement("canvas").getContext("2d");
const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

function widthOf(text) {
  ruler.font = FONT;
  return ruler.measureText(text).width;
}

const axisOf = (layout, letter, name) => layout[`${letter}axis${(name ?? letter).slice(1)}`] ?? {};

// Boxes of a figure, one for each pair of axes, in rows and columns by plotly's domains.
function boxesOf({ data, layout }) {
  const boxes = new Map();
  for (const trace of data) {
    const key = `${trace.xaxis ?? "x"} ${trace.yaxis ?? "y"}`;
    if (boxes.has(key)) continue;
    const [x, y] = [axisOf(layout, "x", trace.xaxis), axisOf(layout, "y", trace.yaxis)];
    boxes.set(key, { key, x, y, left: x.domain?.[0] ?? 0, right: x.domain?.[1] ?? 1, low: y.domain?.[0] ?? 0,
      high: y.domain?.[1] ?? 1, isSquare: Boolean(x.scaleanchor || y.scaleanchor), title: "", hasImage: data.some((t) => t.type === "heatmap" && `${t.xaxis ?? "x"} ${t.yaxis ?? "y"}` === key) });
  }
  const all = Array.from(boxes.values());
  for (const note of all.length ? layout.annotations ?? [] : []) {
    const away = (box) => Math.abs((box.left + box.right) / 2 - note.x) + Math.abs(box.high - note.y);
    all.reduce((best, box) => (away(box) < away(best) ? box : best)).title = note.text;
  }
  return all;
}

const distinct = (values) => Array.from(new Set(values.map((v) => v.toFixed(3)))).sort((a, b) => a - b);

// The least width of a box; on paper boxes may be smaller.
const leastWidth = (isSquare, width) => (isSquare ? (printing ? 90 : width < 500 ? 115 : 215) : printing ? 140 : 230);

// Rows and columns of the boxes: plotly's own, or as many side by side as there is room for where a plot is narrow and
// where all boxes are squares, whose order says all.
function gridOf(boxes, width) {
  const [lefts, tops] = [distinct(boxes.map((box) => box.left)), distinct(boxes.map((box) => -box.high))];
  const isSquare = boxes.length > 1 && boxes.every((box) => box.isSquare);
  const fitting = Math.max(1, Math.floor(width / leastWidth(isSquare, width)));
  const isStacked = isSquare || fitting < lefts.length;
  const rows = Math.ceil(boxes.length / fitting);
  const perRow = Math.ceil(boxes.length / rows);
  const read = [...boxes].sort((a, b) => b.high - a.high || a.left - b.left);
  const cells = boxes.map((box) => isStacked
    ? { box, column: read.indexOf(box) % perRow, row: Math.floor(read.indexOf(box) / perRow), share: 1,
        tall: 1 / (isSquare ? rows : tops.length) }
    : { box, column: lefts.indexOf(box.left.toFixed(3)), row: tops.indexOf((-box.high).toFixed(3)),
        share: box.right - box.left, tall: rowShare(boxes, box) });
  return { cells, isStacked };
}

function rowShare(boxes, { low, high }) {
  const rows = new Map(boxes.map((box) => [box.high.toFixed(3), box.high - box.low]));
  return (high - low) / Array.from(rows.values()).reduce((a, b) => a + b, 0);
}

const EDGE = 14;
const TALLEST_STACKED = 420;
const NARROW = 900; // pixels of the window below which panels stand one below the other

// Places of the boxes in a plot of some width, with gutters as wide as their labels.
function arranged(boxes, width, height) {
  const { cells, isStacked } = gridOf(boxes, width);
  const columns = Array.from({ length: Math.max(...cells.map(({ column }) => column)) + 1 }, (_, c) => {
    const members = cells.filter(({ column }) => column === c);
    return { share: Math.max(...members.map(({ share }) => share)),
      gutter: Math.max(...members.map(({ box, tall }) => gutter(box, height * tall))) };
  });
  const room = width - columns.reduce((sum, { gutter: g }) => sum + g + EDGE, 0);
  const whole = columns.reduce((sum, { share }) => sum + share, 0);
  let left = 0;
  for (const column of columns) {
    column.width = Math.max(40, (room * column.share) / whole);
    column.left = left + column.gutter;
    left = column.left + column.width + EDGE;
  }
  let top = 0;
  const placed = [];
  for (let row = 0; cells.some((cell) => cell.row === row); row++) {
    const members = cells.filter((cell) => cell.row === row);
    const head = members.some(({ box }) => box.title) ? 30 : 10;
    const foot = Math.max(...members.map(({ box }) => footOf(box)));
    const isFree = isStacked && members[0].box.isSquare && innerWidth < NARROW;
    const most = isFree ? TALLEST_STACKED : Math.max(70, height * members[0].tall - head - foot);
    const sides = members.map(({ box, column }) => box.isSquare ? Math.min(most, ratioOf(box) * columns[column].width) : most);
    members.forEach(({ box, column }, i) => placed.push(put(box, columns[column], top + head, sides[i])));
    top += head + Math.max(...sides) + foot;
  }
  return { boxes: placed, height: Math.ceil(top) };
}

function put(box, column, top, height) {
  const width = box.isSquare ? height / ratioOf(box) : column.width;
  const left = column.left + (column.width - width) / 2;
  return { ...box, left, top, width, height, xs: scaleOf(box.x, left, left + width), ys: scaleOf(box.y, top + height, top) };
}

const spanOf = (axis) => Math.abs(axis.range[1] - axis.range[0]);
const ratioOf = ({ x, y }) => spanOf(y) / spanOf(x);
const titleOf = (axis) => axis.title?.text ?? "";
const hasLabels = (axis) => axis.showticklabels !== false;

function gutter({ y }, pixels) {
  const labels = hasLabels(y) ? Math.max(0, ...marksOf(y, pixels, true).map(({ text }) => widthOf(text))) : 0;
  return Math.ceil(labels) + (titleOf(y) ? 22 : 0) + 12;
}

const footOf = ({ x }) => (hasLabels(x) ? 20 : 4) + (titleOf(x) ? 20 : 0) + 4;

// Axes of one box as SVG: grid lines, labels, titles, and lines across.
function axesOf(box, levels) {
  const { left, top, width, height, xs, ys, x, y } = box;
  const group = svg("g", { class: "axes" });
  const text = (words, at, more = {}) => svg("text", { x: at[0].toFixed(1), y: at[1].toFixed(1), ...more }, words);
  group.append(svg("rect", { x: left, y: top, width, height, class: "edge" }));
  for (const { at, text: words } of marksOf(x, width, false)) {
    const px = xs.pixel(at);
    if (hasLabels(x)) group.append(svg("path", { d: `M${px.toFixed(1)} ${top + height}v4`, class: "tick" }));
    if (hasLabels(x)) group.append(text(words, [px, top + height + 17], { "text-anchor": "middle", class: "x-label" }));
  }
  for (const { at, text: words } of marksOf(y, height, true)) {
    const px = ys.pixel(at);
    if (hasLabels(y)) group.append(svg("path", { d: `M${left} ${px.toFixed(1)}h-4`, class: "tick" }));
    if (y.type !== "category" && !box.isSquare && !box.hasImage) group.append(svg("path", { d: `M${left} ${px.toFixed(1)}h${width}`, class: "grid" }));
    if (hasLabels(y)) group.append(text(words, [left - 7, px + 4], { "text-anchor": "end" }));
  }
  if (titleOf(x)) group.append(fitted(titleOf(x), left + width / 2, top + height + footOf(box) - 8, Math.max(width + 40, 150)));
  if (titleOf(y)) {
    const at = [left - gutter(box, height) + 13, top + height / 2];
    const turned = fitted(titleOf(y), at[0], at[1], height + 30);
    turned.setAttribute("transform", `rotate(-90 ${at[0]} ${at[1]})`);
    group.append(turned);
  }
  if (box.title) group.append(fitted(box.title, left + width / 2, top - 11, width + 20, "box-title"));
  for (const level of levels) group.append(levelOf(level, box));
  return group;
}

// A centred text, shortened by an ellipsis where it is wider than its room; the whole text is its tooltip.
function fitted(words, x, y, room, kind = "title") {
  let shown = words;
  while (shown.length > 4 && widthOf(shown) > room) shown = `${shown.slice(0, -2).trimEnd()}\u2026`;
  const element = svg("text", { x: x.toFixed(1), y: y.toFixed(1), "text-anchor": "middle", class: kind }, shown);
  if (shown !== words) element.append(svg("title", {}, words));
  return element;
}

const isAcross = ({ xref }) => String(xref).includes("domain");

function levelOf(shape, { left, top, width, height, xs, ys }) {
  const d = isAcross(shape) ? `M${left} ${ys.pixel(shape.y0)}h${width}` : `M${xs.pixel(shape.x0)} ${top}v${height}`;
  return svg("path", { d, class: "level", "stroke-dasharray": shape.line?.dash === "solid" ? "none" : "5 4" });
}

// Lines across a box; plotly does not draw those beyond its axes' ranges either.
const levelsOf = (layout, box) => (layout.shapes ?? []).filter((shape) => {
  const [x, y] = box.key.split(" ");
  if (String(shape.xref).split(" ")[0] !== x || String(shape.yref).split(" ")[0] !== y) return false;
  const { left, top, width, height, xs, ys } = box;
  const [at, room] = isAcross(shape) ? [ys.pixel(shape.y0) - top, height] : [xs.pixel(shape.x0) - left, width];
  return at >= -1 && at <= room + 1;
});
