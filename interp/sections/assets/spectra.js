"use strict";
// Parts of functions of the pair at frequencies, or in irreps: see parts/irreps.py. `units` are [{name, basis}], each
// basis rows of n numbers: orthonormal functions on the group, in the order of the elements' `place`.

function unitsOf({ n, cycle, units }, bases) {
  let from = 0;
  return units.map((unit) => {
    const rows = Array.from({ length: unit.dim }, (_, i) => (cycle ? wave(cycle, unit.k, i) : row(from + i)));
    from += unit.dim;
    return { ...unit, basis: rows };
  });

  function row(i) {
    return bases.values.subarray(i * n, (i + 1) * n);
  }
}

// cos (i = 0) or sin (i = 1) of k cycles round n places, of unit norm
function wave(n, k, i) {
  const values = Float64Array.from({ length: n }, (_, x) => Math[i ? "sin" : "cos"]((2 * Math.PI * ((k * x) % n)) / n));
  const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return values.map((value) => value / norm);
}

// Parts of the logits [n * n, outputs], as functions of the answer's place, in one unit: [places, outputs].
function partOf(logits, outputs, line, size, { basis }) {
  const means = new Float64Array(size * outputs);
  line.forEach((place, row) => {
    if (place >= 0) for (let c = 0; c < outputs; c++) means[place * outputs + c] += logits[row * outputs + c] / size;
  });
  const part = new Float64Array(size * outputs);
  for (const wave of basis) {
    const coefficients = new Float64Array(outputs);
    for (let t = 0; t < size; t++) for (let c = 0; c < outputs; c++) coefficients[c] += wave[t] * means[t * outputs + c];
    for (let t = 0; t < size; t++) for (let c = 0; c < outputs; c++) part[t * outputs + c] += wave[t] * coefficients[c];
  }
  return part;
}

// Share of a function's variance over the pairs in each unit: of functions of a, of b, of the answer and, on a cycle,
// of the difference on which the answer does not depend. {a, b, answer, difference}: shares in the order of units.
function sharesOf(values, n, { place, answers, cycle, sign }, units) {
  const size = cycle ?? n;
  const sums = { a: new Float64Array(size), b: new Float64Array(size), answer: new Float64Array(size) };
  if (cycle) sums.difference = new Float64Array(size);
  let total = 0;
  let squares = 0;
  for (let a = 0; a < n; a++) for (let b = 0; b < n; b++) {
    if (place[a] < 0 || place[b] < 0) continue;
    const value = values[a * n + b];
    total += value;
    squares += value * value;
    sums.a[place[a]] += value / size;
    sums.b[place[b]] += value / size;
    sums.answer[place[answers[a * n + b]]] += value / size;
    if (cycle) sums.difference[(place[a] - sign * place[b] + size) % size] += value / size;
  }
  const variance = squares / size ** 2 - (total / size ** 2) ** 2;
  const power = (sum, { basis, k }, name) => {
    if (name === "difference" && 2 * k === size) return 0; // there the answer's wave is the difference's
    return basis.reduce((whole, wave) => whole + wave.reduce((x, value, t) => x + value * sum[t], 0) ** 2, 0);
  };
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) =>
    [name, units.map((unit) => (variance > 1e-12 * (squares / size ** 2) ? power(sum, unit, name) / size / variance : 0))]));
}
