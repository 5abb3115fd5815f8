"use strict";
// A one-layer model from its weights: see parts/network.py. Activations are float64. `entries` are the pairs of a
// position and a token that occur; what depends on one entry alone is computed once.

const ACTIVATIONS = {
  relu: (x) => (x > 0 ? x : 0),
  gelu: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
  gelu_new: (x) => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2,
  silu: (x) => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  square: (x) => x * x,
};

function erf(x) { // Abramowitz and Stegun 7.1.26, within 1.5e-7
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

// The weights of one of the steps; a tensor that is zero everywhere does not travel.
function weightsAt(arrays, options, step) {
  const weights = {};
  for (const [name, { values, shape }] of Object.entries(arrays)) {
    const size = values.length / shape[0];
    const factor = 2 ** -(options.exponents[name] ?? 0);
    weights[name] = Float32Array.from(values.subarray(step * size, (step + 1) * size), (x) => x * factor);
  }
  return weights;
}

// out += x W, W [x.length, size] from row `from` on
function addProduct(out, x, W, from = 0) {
  if (!W) return out;
  const size = out.length;
  for (let i = 0; i < x.length; i++) {
    const factor = x[i];
    if (factor === 0) continue;
    const row = (from + i) * size;
    for (let j = 0; j < size; j++) out[j] += factor * W[row + j];
  }
  return out;
}

function addRow(out, W, row = 0) {
  if (W) for (let j = 0; j < out.length; j++) out[j] += W[row * out.length + j];
  return out;
}

function dot(x, W, row) {
  let sum = 0;
  if (W) for (let i = 0; i < x.length; i++) sum += x[i] * W[row * x.length + i];
  return sum;
}

function layerNorm(x, w, b, eps) {
  const n = x.length;
  let mean = 0;
  let variance = 0;
  for (let i = 0; i < n; i++) mean += x[i] / n;
  for (let i = 0; i < n; i++) variance += (x[i] - mean) ** 2 / n;
  const scale = 1 / Math.sqrt(variance + eps);
  return x.map((value, i) => (value - mean) * scale * (w ? w[i] : 0) + (b ? b[i] : 0));
}

// ---- what depends on an entry alone ----

function entriesOf({ kinds, n }) {
  const starts = [];
  let count = 0;
  for (const kind of kinds) {
    starts.push(count);
    count += kind ? n : 1;
  }
  return { count, at: (j, a, b) => starts[j] + (kinds[j] === 1 ? a : kinds[j] === 2 ? b : 0) };
}

function embedded(weights, options) {
  const rows = [];
  options.kinds.forEach((kind, j) => {
    for (let x = 0; x < (kind ? options.n : 1); x++) {
      const row = addRow(new Float64Array(options.width), weights.W_E, options.first[j] + x);
      rows.push(addRow(row, weights.W_pos, j));
    }
  });
  return rows;
}

function mlpNetwork(weights, options) {
  const entries = entriesOf(options);
  const rows = embedded(weights, options);
  const reads = [];
  let entry = 0;
  options.kinds.forEach((kind, j) => {
    for (let x = 0; x < (kind ? options.n : 1); x++)
      reads.push(addProduct(new Float64Array(options.neurons), rows[entry++], weights.W_in, j * options.width));
  });
  return { weights, options, entries, reads };
}

function transformerNetwork(weights, options) {
  const { width, heads, size, norm, eps } = options;
  const entries = entriesOf(options);
  const rows = embedded(weights, options);
  const inputs = norm === "pre" ? rows.map((x) => layerNorm(x, weights.ln1_w, weights.ln1_b, eps)) : rows;
  const part = (W, h, length) => W?.subarray(h * length, (h + 1) * length);
  const project = (x, h, name) => addProduct(addRow(new Float64Array(size), weights[`b_${name}`], h), x,
    part(weights[`W_${name}`], h, width * size));
  const outputs = [];
  const scores = [];
  const lastKind = options.kinds[options.kinds.length - 1];
  const queries = inputs.slice(entries.at(options.kinds.length - 1, 0, 0));
  for (let h = 0; h < heads; h++) {
    const W_O = part(weights.W_O, h, size * width);
    outputs.push(inputs.map((x) => addProduct(new Float64Array(width), project(x, h, "V"), W_O)));
    scores.push(lastKind ? scoresOf(h) : [Float64Array.from(inputs, (x) => dot(x, weights.reads, h))]);
  }

  function scoresOf(h) { // a row for each token that can stand last
    const keys = inputs.map((x) => addProduct(new Float64Array(size), x, part(weights.W_K, h, width * size)));
    return queries.map((x) => {
      const q = project(x, h, "Q");
      return Float64Array.from(keys, (key) => key.reduce((sum, value, e) => sum + value * q[e], 0) / Math.sqrt(size));
    });
  }

  return { weights, options, entries, rows, outputs, scores, lastKind };
}

function network(arrays, options, step) {
  const weights = weightsAt(arrays, options, step);
  return options.heads ? transformerNetwork(weights, options) : mlpNetwork(weights, options);
}

// ---- one pair ----

// Attention [heads * positions] from the answer's position, written to `out` from `from` on.
function patternOf({ options, entries, scores, lastKind }, a, b, out, from = 0) {
  const query = [0, a, b][lastKind];
  const count = options.kinds.length;
  for (let h = 0; h < options.heads; h++) {
    const row = scores[h][query];
    const start = from + h * count;
    let top = -Infinity;
    let total = 0;
    for (let j = 0; j < count; j++) top = Math.max(top, (out[start + j] = row[entries.at(j, a, b)]));
    for (let j = 0; j < count; j++) total += out[start + j] = Math.exp(out[start + j] - top);
    for (let j = 0; j < count; j++) out[start + j] = (options.rate * out[start + j]) / total + 1 - options.rate;
  }
  return out;
}

// The residual stream after attention, normed where a norm follows the sum.
function afterAttention(net, pattern, a, b, heads, from = 0) {
  const { weights, options, entries, rows, outputs } = net;
  const count = options.kinds.length;
  const resid = addRow(rows[entries.at(count - 1, a, b)].slice(), weights.b_O);
  for (let h = 0; h < options.heads; h++) {
    if (heads && heads[h]) continue;
    for (let j = 0; j < count; j++) {
      const share = pattern[from + h * count + j];
      const row = outputs[h][entries.at(j, a, b)];
      for (let d = 0; d < row.length; d++) resid[d] += share * row[d];
    }
  }
  return options.norm === "post" ? layerNorm(resid, weights.ln1_w, weights.ln1_b, options.eps) : resid;
}

function neuronInput({ weights, options }, resid) {
  return options.norm === "pre" ? layerNorm(resid, weights.ln2_w, weights.ln2_b, options.eps) : resid;
}

// Activations and logits of one pair. off: {heads, neurons}, arrays in which 1 sets a head's output or a neuron to 0.
function forward(net, a, b, off = {}) {
  const { weights, options } = net;
  const pattern = new Float64Array(options.heads * options.kinds.length);
  if (options.heads) patternOf(net, a, b, pattern);
  let resid = options.heads ? afterAttention(net, pattern, a, b, off.heads) : null;
  const pre = addRow(new Float64Array(options.neurons), weights.b_in);
  if (resid && options.neurons) addProduct(pre, neuronInput(net, resid), weights.W_in);
  if (!resid) options.kinds.forEach((_, j) => net.reads[net.entries.at(j, a, b)].forEach((x, i) => (pre[i] += x)));
  const act = ACTIVATIONS[options.act];
  const neurons = pre.map((x, i) => (off.neurons && off.neurons[i] ? 0 : act(x)));
  if (resid && options.neurons) {
    addProduct(addRow(resid, weights.b_out), neurons, weights.W_out);
    if (options.norm === "post") resid = layerNorm(resid, weights.ln2_w, weights.ln2_b, options.eps);
  }
  if (options.norm === "pre") resid = layerNorm(resid, weights.ln_final_w, weights.ln_final_b, options.eps);
  const logits = addProduct(addRow(new Float64Array(options.outputs), weights.b_U), resid ?? neurons, weights.W_U);
  if (weights.W_L) addProduct(logits, neurons, weights.W_L); // in place of W_out and W_U, where it is smaller
  return { pattern, neurons, logits: logits.map((x) => x * options.scale) };
}

// ---- all pairs ----

// Logits of all pairs [n * n, outputs], as a generator that stops after every few pairs and says which share is done.
function* everyPair(net, off) {
  const { n, outputs } = net.options;
  const logits = new Float32Array(n * n * outputs);
  for (let row = 0; row < n * n; row++) {
    logits.set(forward(net, Math.floor(row / n), row % n, off).logits, row * outputs);
    if (row % 8 === 7) yield row / (n * n);
  }
  return logits;
}

// ---- one neuron on all pairs ----

// The neuron's column of W_in, or null where no input reaches it.
function columnOf({ weights, options }, neuron) {
  if (!weights.W_in) return null;
  const rows = weights.W_in.length / options.neurons;
  return Float64Array.from({ length: rows }, (_, i) => weights.W_in[i * options.neurons + neuron]);
}

// Attention [pair * heads * positions] of all pairs, kept.
function everyPattern(net) {
  if (net.patterns) return net.patterns;
  const { n, heads, kinds } = net.options;
  const size = heads * kinds.length;
  net.patterns = new Float64Array(n * n * size);
  for (let row = 0; row < n * n; row++) patternOf(net, Math.floor(row / n), row % n, net.patterns, row * size);
  return net.patterns;
}

// A neuron's activation on all pairs [n * n].
function neuronMap(net, neuron) {
  const { weights, options } = net;
  const { n } = options;
  const pre = options.heads ? transformerInputs(net, neuron) : mlpInputs(net, neuron);
  const bias = weights.b_in ? weights.b_in[neuron] : 0;
  const act = ACTIVATIONS[options.act];
  return Float64Array.from({ length: n * n }, (_, row) => act(pre(Math.floor(row / n), row % n, row) + bias));
}

function mlpInputs({ options, entries, reads }, neuron) {
  return (a, b) => options.kinds.reduce((sum, _, j) => sum + reads[entries.at(j, a, b)][neuron], 0);
}

function transformerInputs(net, neuron) {
  const column = columnOf(net, neuron);
  const patterns = everyPattern(net);
  const { entries, options: { norm, heads, kinds: { length: count } } } = net;
  const size = heads * count;
  if (norm !== "none")
    return (a, b, row) => dot(neuronInput(net, afterAttention(net, patterns, a, b, null, row * size)), column, 0);
  const { straight, byHead } = readsOf(net, column);
  return (a, b, row) => {
    let sum = straight[entries.at(count - 1, a, b)];
    for (let h = 0; h < heads; h++)
      for (let j = 0; j < count; j++) sum += patterns[row * size + h * count + j] * byHead[h][entries.at(j, a, b)];
    return sum;
  };
}

// What a neuron reads of each entry: through the residual stream, and through each head at an attention of 1.
function readsOf({ weights, rows, outputs }, column) {
  const bias = weights.b_O ? dot(weights.b_O, column, 0) : 0;
  return {
    straight: rows.map((x) => dot(x, column, 0) + bias),
    byHead: outputs.map((own) => own.map((x) => dot(x, column, 0))),
  };
}

// Mean input of a neuron by the token of operand a (kind 1) or b (kind 2): its reads at the mean attention.
function inputsBy(net, neuron, kind) {
  const { options, entries } = net;
  const j = options.kinds.indexOf(kind);
  const entry = (x) => entries.at(j, x, x);
  const tokens = Array.from({ length: options.n }, (_, x) => x);
  if (!options.heads) return tokens.map((x) => net.reads[entry(x)][neuron]);
  const { straight, byHead } = readsOf(net, columnOf(net, neuron));
  const patterns = everyPattern(net);
  const count = options.kinds.length;
  const size = byHead.length * count;
  const means = byHead.map((_, h) => {
    let sum = 0;
    for (let at = h * count + j; at < patterns.length; at += size) sum += patterns[at];
    return (sum * size) / patterns.length;
  });
  const isLast = j === options.kinds.length - 1;
  return tokens.map((x) => byHead.reduce((sum, own, h) => sum + means[h] * own[entry(x)], isLast ? straight[entry(x)] : 0));
}

// A neuron's weight to each logit.
function outputsOf({ weights, options }, neuron) {
  const out = new Float64Array(options.outputs);
  if (weights.W_L) addRow(out, weights.W_L, neuron);
  if (!weights.W_U || weights.W_L) return out.map((x) => x * options.scale);
  const row = options.heads ? weights.W_out?.subarray(neuron * options.width, (neuron + 1) * options.width) : null;
  if (options.heads) addProduct(out, row ?? [], weights.W_U);
  else addRow(out, weights.W_U, neuron);
  return out.map((x) => x * options.scale);
}
