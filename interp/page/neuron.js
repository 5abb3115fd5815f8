"use strict";
// A neuron's activation on every pair of operands, from the weights of a one-layer model without layer norm.
// An entry is a token at a position. kinds says what stands at each position: 0 the same token in every row, 1 operand
// a, 2 operand b; offsets where its entries begin. All arrays are row-major.
(window.computed ??= {}).neuron = ({ W_in, b_in, is_gelu, kinds, offsets, scores, v, W_O, resid, rate }, neuron) => {
  const [dModel, dMlp] = W_in.shape;
  const column = Float64Array.from({ length: dModel }, (_, i) => W_in.values[i * dMlp + neuron]);
  const dot = (array, row, size, other) => {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += array[row * size + i] * other[i];
    return sum;
  };
  const [heads, entries, dHead] = v.shape;
  const queries = scores.shape[1];
  const read = Float64Array.from({ length: heads * entries }, (_, i) => {
    const head = Math.floor(i / entries);
    let sum = 0;
    for (let e = 0; e < dHead; e++) sum += v.values[i * dHead + e] * dot(W_O.values, head * dHead + e, dModel, column);
    return sum;
  });
  const straight = Float64Array.from({ length: resid.shape[0] }, (_, i) => dot(resid.values, i, dModel, column));
  const erf = (x) => { // Abramowitz and Stegun 7.1.26, within 1.5e-7
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return Math.sign(x) * (1 - sum * Math.exp(-x * x));
  };
  const act = is_gelu.values[0] ? (x) => (x * (1 + erf(x / Math.SQRT2))) / 2 : (x) => Math.max(x, 0);
  const n = is_gelu.values[1];
  const positions = kinds.values.length;
  const odds = new Float64Array(positions);
  const z = Array.from({ length: n }, (_, a) => Array.from({ length: n }, (_, b) => {
    const at = (j) => offsets.values[j] + [0, a, b][kinds.values[j]];
    let pre = b_in.values[neuron] + straight[resid.shape[0] > 1 ? b : 0];
    for (let h = 0; h < heads; h++) {
      const row = (h * queries + (queries > 1 ? b : 0)) * entries;
      let top = -Infinity;
      let total = 0;
      for (let j = 0; j < positions; j++) top = Math.max(top, scores.values[row + at(j)]);
      for (let j = 0; j < positions; j++) total += odds[j] = Math.exp(scores.values[row + at(j)] - top);
      for (let j = 0; j < positions; j++)
        pre += ((rate.values[0] * odds[j]) / total + 1 - rate.values[0]) * read[h * entries + at(j)];
    }
    return act(pre);
  }));
  const values = z.flat();
  const fires = values.filter((x) => x > 0).length / values.length;
  const most = values.reduce((x, y) => Math.max(x, y), -Infinity);
  return { z, text: `Neuron ${neuron}: fires on ${(100 * fires).toFixed(1)}% of the pairs, at most ${most.toFixed(3)}.` };
};
