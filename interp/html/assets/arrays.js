// --- payloads: see html/packing.py ------------------------------------------------------------------------------

const KINDS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i1: Int8Array, i2: Int16Array, i4: Int32Array,
  f2: Uint16Array, f4: Float32Array };

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function inflated(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// The JSON of a payload, in which {array: number} has become an array: see `revive`.
async function unpack(base64) {
  const buffer = await inflated(base64);
  const length = new DataView(buffer).getUint32(0, true);
  const { content, arrays } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = 4 + length;
  const views = arrays.map((array) => {
    const size = array.shape.reduce((product, n) => product * n, 1);
    return { ...array, codes: new KINDS[array.dtype](buffer, start + array.at, size) };
  });
  return { content, views };
}

const widened = (half) => {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -24 * fraction;
};

// Numbers or words of `size` entries of an array from `from` on.
function decoded({ dtype, codes, words, lo, hi }, from = 0, size = codes.length) {
  const part = codes.subarray(from, from + size);
  if (words) return Array.from(part, (code) => words[code]);
  if (dtype === "f2") return Float32Array.from(part, widened);
  if (lo === undefined) return part;
  const top = dtype === "u1" ? 254 : 65534;
  const scale = (hi - lo) / top;
  const values = new Float64Array(part.length);
  for (let i = 0; i < part.length; i++) values[i] = part[i] > top ? NaN : lo + scale * part[i];
  return values;
}

// JSON with decoded arrays: rows of rows where an array has two dimensions.
function revive(tree, views) {
  if (Array.isArray(tree)) return tree.map((item) => revive(item, views));
  if (tree === null || typeof tree !== "object") return tree;
  if (Number.isInteger(tree.array)) {
    const view = views[tree.array];
    const values = decoded(view);
    return view.shape.length === 2 ? rowsOf(values, view.shape) : values;
  }
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, revive(value, views)]));
}

const rowsOf = (values, [n, m]) => Array.from({ length: n }, (_, i) => values.slice(i * m, (i + 1) * m));

// --- tracks ---------------------------------------------------------------------------------------------------------

// The values of a track at its snapshot i: a number or word, an array, or rows of a grid.
function valueAt({ view }, i) {
  const [, n = 1, m = 1] = view.shape;
  const values = decoded(view, i * n * m, n * m);
  if (view.shape.length === 1) return values[0];
  return view.shape.length === 2 ? values : rowsOf(values, [n, m]);
}

const isSmooth = ({ view }) => !view.words && !view.whole;

// A share of the way from one value to the next; where one of them is absent, or counts, the nearer one.
function between(track, i, share) {
  if (!share) return valueAt(track, i);
  if (!isSmooth(track)) return valueAt(track, share < 0.5 ? i : i + 1);
  const mixed = (a, b) => {
    if (typeof a === "object") return a.map((value, j) => mixed(value, b[j]));
    const value = a + (b - a) * share;
    return Number.isNaN(value) ? (share < 0.5 ? a : b) : value;
  };
  return mixed(valueAt(track, i), valueAt(track, i + 1));
}

// Steps span decades from 0 on, so distances are in log10(step + 1); a tie goes to the earlier step.
const place = (step) => Math.log10(step + 1);

function nearest(steps, step) {
  const away = (s) => Math.abs(place(s) - place(step));
  return steps.reduce((best, s, i) => (away(s) < away(steps[best]) ? i : best), 0);
}

// The snapshot at or before a step, and the share of the way to the next one.
function spot(steps, step) {
  let i = 0;
  while (i + 1 < steps.length && steps[i + 1] <= step) i++;
  if (i + 1 >= steps.length || step <= steps[i]) return [i, 0];
  return [i, (place(step) - place(steps[i])) / (place(steps[i + 1]) - place(steps[i]))];
}
