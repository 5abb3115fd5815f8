// --- the numbers shown, as a file --------------------------------------------------------------------------------------------

function cell(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  const text = typeof value === "number" ? String(Number(value.toPrecision(7))) : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function* rowsFor(trace) {
  const at = (values, i) => (values ? values[i] : i);
  if (trace.type === "heatmap") {
    for (let r = 0; r < trace.z.length; r++) for (let c = 0; c < trace.z[r].length; c++)
      yield { trace: trace.name, x: at(trace.x, c), y: at(trace.y, r), z: trace.z[r][c] };
    return;
  }
  const n = Math.max(trace.x?.length ?? 0, trace.y?.length ?? 0);
  for (let i = 0; i < n; i++) yield { trace: trace.name, x: at(trace.x, i), y: at(trace.y, i), z: trace.z?.[i] };
}

const COLUMNS = { trace: "trace", x: "x", y: "y", z: "z" };

function csvOf(panel) {
  const { data, tracks, columns } = panel.figure;
  const cursors = new Set(tracks.filter(({ cursor }) => cursor).map(({ trace }) => trace));
  const names = columns ?? COLUMNS;
  const keys = ["trace", "x", "y", "z"].filter((key) => key in names);
  const shown = panel.shown.filter((trace, i) => (data[i].visible ?? true) === true && !(columns && cursors.has(i)) && !trace.fill);
  const rows = shown.flatMap((trace) => Array.from(rowsFor(trace), (row) => keys.map((key) => cell(row[key]))));
  return [keys.map((key) => cell(names[key])), ...rows].map((row) => `${row.join(",")}\n`).join("");
}

function download(panel) {
  const step = panel.step();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csvOf(panel)], { type: "text/csv" }));
  link.download = panel.figure.id + (step === null ? "" : `-step-${step}`) + ".csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
