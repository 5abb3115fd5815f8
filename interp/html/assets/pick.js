// --- what is under the pointer, and its words ---------------------------------------------------------------------------

const REACH = 24;
const isIn = (box, px, py, margin = 4) => px >= box.left - margin && px <= box.left + box.width + margin &&
  py >= box.top - margin && py <= box.top + box.height + margin;

function cellAt(trace, { xs, ys }, px, py) {
  const find = (edges, at) => {
    for (let i = 0; i + 1 < edges.length; i++) if ((edges[i] - at) * (edges[i + 1] - at) <= 0) return i;
    return -1;
  };
  const [n, m] = [trace.z.length, trace.z[0].length];
  const [x, y] = [trace.x ?? Array.from({ length: m }, (_, i) => i), trace.y ?? Array.from({ length: n }, (_, i) => i)];
  const [c, r] = [find(edgesOf(x, xs), px), find(edgesOf(y, ys), py)];
  return c < 0 || r < 0 ? null : { i: r * m + c, x: x[c], y: y[r], z: trace.z[r][c], away: REACH / 2 };
}

function pointAt(trace, { xs, ys }, px, py) {
  const [x, y] = [numbersOf(trace, "x"), numbersOf(trace, "y")];
  let best = null;
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [xs.pixel(x[i]) - px, ys.pixel(y[i]) - py];
    const isFlat = trace.orientation === "h";
    const away = trace.type === "bar" ? Math.abs(isFlat ? dy : dx) : Math.hypot(dx, dy);
    if (away <= REACH && away < (best?.away ?? Infinity)) best = { i, x: x[i], y: y[i], away };
  }
  return best;
}

// The element of a panel nearest to a place in its plot: {trace, i, x, y, z}, or null.
function elementAt(panel, px, py) {
  let best = null;
  for (const box of panel.boxes) {
    if (!isIn(box, px, py)) continue;
    for (const t of panel.tracesIn(box)) {
      const trace = panel.shown[t];
      if (trace.hoverinfo === "skip" || trace.visible === "legendonly") continue;
      const found = trace.type === "heatmap" ? cellAt(trace, box, px, py) : pointAt(trace, box, px, py);
      if (found && found.away < (best?.away ?? Infinity)) best = { ...found, trace: t, box };
    }
  }
  return best;
}

function wordsFor(panel, { trace: t, i, x, y, z }) {
  const trace = panel.shown[t];
  const values = { x, y, z, text: trace.text?.[i], customdata: trace.customdata?.[i] };
  if (trace.hovertemplate) {
    const [text, extra] = trace.hovertemplate.split("<extra>");
    const filled = text.replaceAll(/%\{(\w+)(?::([^}]*))?\}/g, (_, name, format) => formatted(values[name], format));
    const aside = (extra ?? "").replace("</extra>", "");
    return [...filled.split("<br>"), ...(aside ? [aside] : [])];
  }
  const box = panel.boxes.find((b) => panel.tracesIn(b).includes(t));
  const name = (axis, letter) => titleOf(axis).split(/[,(]/)[0].trim() || letter;
  const head = values.text ?? trace.name;
  return [...(head ? [head] : []), `${name(box.x, "x")}: ${formatted(x)}`, `${name(box.y, "y")}: ${formatted(y)}`];
}

const tip = html("div", { class: "tip", role: "status", "aria-live": "off", hidden: "" });

function showTip(lines, clientX, clientY) {
  tip.replaceChildren(...lines.map((line) => html("div", {}, line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(clientX + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${clientY + 18 + height > innerHeight ? clientY - height - 12 : clientY + 18}px`;
}

const hideTip = () => { tip.hidden = true; };
