"use strict";
// A neuron's activation on every pair of operands, from the weights of a one-layer model without layer norm. All arrays
// are row-major. kinds says what stands at each position: 0 the same token in every row, 1 operand a, 2 operand b; first
// is the token there, or that of operand 0. An MLP has embeddings E, read side by side; a transformer has queries q of
// the tokens at the last position, and keys and values of tokens and of places, which add up.
(window.computed ??= {}).neuron = (arrays, neuron) => {
  const { n: { values: [n] }, kinds, first, activation, b_in, W_in } = arrays;
  const [width, dMlp] = W_in.shape;
  const column = Float64Array.from({ length: width }, (_, i) => W_in.values[i * dMlp + neuron]);
  const positions = kinds.values.length;
  const at = (j, a, b) => first.values[j] + [0, a, b][kinds.values[j]];
  const pre = new Float64Array(n * n).fill(b_in.values[neuron]);

  const dot = (x, i, y, j, size) => {
    let sum = 0;
    for (let e = 0; e < size; e++) sum += x[i * size + e] * y[j * size + e];
    return sum;
  };
  const dots = (x, from, count, y, j, size) =>
    Float64Array.from({ length: count }, (_, i) => dot(x.values, from + i, y, j, size));

  function addEmbeddings({ E }) {
    const [tokens, size] = E.shape;
    for (let j = 0; j < positions; j++) {
      const read = dots(E, 0, tokens, column, j, size);
      for (let a = 0; a < n; a++) for (let b = 0; b < n; b++) pre[a * n + b] += read[at(j, a, b)];
    }
  }

  function addAttention({ q, k_token, k_place, v_token, v_place, W_O, resid, rate: { values: [rate] } }) {
    const [heads, tokens, size] = v_token.shape;
    const [, queries, keySize] = q.shape;
    const places = k_place.shape[1];
    const odds = new Float64Array(positions);
    const straight = dots(resid, 0, queries, column, 0, width);
    for (let h = 0; h < heads; h++) {
      const out = dots(W_O, h * size, size, column, 0, width);
      const readToken = dots(v_token, h * tokens, tokens, out, 0, size);
      const readPlace = dots(v_place, h * places, places, out, 0, size);
      for (let i = 0; i < queries; i++) {
        const token = dots(k_token, h * tokens, tokens, q.values, h * queries + i, keySize);
        const place = dots(k_place, h * places, places, q.values, h * queries + i, keySize);
        for (let a = 0; a < n; a++) for (let b = queries > 1 ? i : 0; b < (queries > 1 ? i + 1 : n); b++) {
          let top = -Infinity;
          let total = 0;
          for (let j = 0; j < positions; j++) top = Math.max(top, odds[j] = token[at(j, a, b)] + place[j]);
          for (let j = 0; j < positions; j++) total += odds[j] = Math.exp(odds[j] - top);
          let sum = h ? 0 : straight[i];
          for (let j = 0; j < positions; j++)
            sum += ((rate * odds[j]) / total + 1 - rate) * (readToken[at(j, a, b)] + readPlace[j]);
          pre[a * n + b] += sum;
        }
      }
    }
  }

  const erf = (x) => { // Abramowitz and Stegun 7.1.26, within 1.5e-7
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return Math.sign(x) * (1 - sum * Math.exp(-x * x));
  };
  const act = [ // relu, gelu, gelu_new, silu, tanh, square
    (x) => Math.max(x, 0),
    (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
    (x) => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2,
    (x) => x / (1 + Math.exp(-x)),
    Math.tanh,
    (x) => x * x,
  ][activation.values[0]];

  if (arrays.E) addEmbeddings(arrays);
  else addAttention(arrays);
  const values = pre.map(act);
  const z = Array.from({ length: n }, (_, a) => Array.from(values.subarray(a * n, (a + 1) * n)));
  const fires = values.filter((x) => x > 0).length / values.length;
  const most = values.reduce((x, y) => Math.max(x, y), -Infinity);
  return { z, text: `Neuron ${neuron}: fires on ${(100 * fires).toFixed(1)}% of the pairs, at most ${most.toFixed(3)}.` };
};
