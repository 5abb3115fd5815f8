// --- numbers as people write them ------------------------------------------------------------------------------------

const RAISED = { "-": "\u207b", 0: "\u2070", 1: "\u00b9", 2: "\u00b2", 3: "\u00b3", 4: "\u2074", 5: "\u2075",
  6: "\u2076", 7: "\u2077", 8: "\u2078", 9: "\u2079" };
const raised = (power) => Array.from(String(power), (c) => RAISED[c]).join("");
const minus = (text) => text.replaceAll("-", "\u2212");

// Significant digits; powers of ten far from one: 1.9 × 10⁻⁷.
function digits(value, n = 3) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return "\u2013";
  const power = Math.floor(Math.log10(Math.abs(value)));
  if (power < -4 || power > 6) {
    const [front, end] = value.toExponential(n - 1).split("e");
    return minus(`${Number(front)} \u00d7 10`) + raised(Number(end));
  }
  const rounded = Number(value.toPrecision(Math.max(n, power + 1)));
  return minus(rounded.toLocaleString("en", { maximumFractionDigits: 20 }));
}

// The formats of plotly's hover texts that figures use: ".1%", ".3g", ",.0f", ".2f"; none means as few digits as needed.
function formatted(value, format) {
  if (value === null || value === undefined || Number.isNaN(value)) return "absent";
  if (typeof value !== "number") return String(value);
  const found = /^(,?)\.?(\d*)([%gfr]?)$/.exec(format ?? "");
  if (!found || !format) return digits(value, 5);
  const [, , count, kind] = found;
  if (kind === "%") return `${minus((100 * value).toFixed(Number(count)))}\u00a0%`;
  if (kind === "f") {
    const n = Number(count);
    return minus(value.toLocaleString("en", { minimumFractionDigits: n, maximumFractionDigits: n }));
  }
  return digits(value, Number(count) || 6);
}

const counted = (step) => step.toLocaleString("en");
