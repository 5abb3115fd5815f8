"use strict";
// The network at its stages with parts switched off. off: {heads, clusters, units}, arrays of 0 and 1; `units` are the
// key frequencies or irreps, whose parts of the logits need the logits of all pairs, computed while nothing else is done.

const MOST_BYTES = 64e6; // of tables in memory; one takes 6 MB at 113 elements

function modelOf(arrays, options) {
  const weights = Object.fromEntries(Object.entries(arrays).filter(([name]) => name.startsWith("w_"))
    .map(([name, array]) => [name.slice(2), array]));
  const networks = [];
  const answers = arrays.answers.values;
  const units = unitsOf(options, arrays.bases);
  const size = options.cycle ?? options.n;
  const line = Int32Array.from(answers, (answer) => (answer < 0 || !units.length ? -1 : options.place[answer]));
  const tables = new Map();
  let job = 0;

  const at = (stage) => (networks[stage] ??= network(weights, options, stage));

  function masks({ heads, clusters }) {
    const neurons = new Uint8Array(options.neurons);
    options.clusters.forEach((cluster, i) => clusters[i] && cluster.neurons.forEach((neuron) => (neurons[neuron] = 1)));
    return { heads, neurons };
  }

  const keyOf = (stage, { heads, clusters }) => [stage, heads.join(""), clusters.join("")].join("/");

  function table(stage, off) {
    return tables.get(keyOf(stage, off)) ?? null;
  }

  // Starts on all pairs, in place of what was begun before; tell(share) is called now and then, and at the end.
  function begin(stage, off, tell) {
    const key = keyOf(stage, off);
    const mine = ++job;
    const rows = everyPair(at(stage), masks(off));
    const later = window.requestIdleCallback ?? ((work) => setTimeout(() => work({ timeRemaining: () => 8 }), 8));
    const work = (idle) => {
      if (mine !== job) return;
      let row;
      do row = rows.next(); while (!row.done && idle.timeRemaining() > 3);
      if (!row.done) {
        tell(row.value);
        return later(work);
      }
      while (tables.size && (tables.size + 1) * row.value.byteLength > MOST_BYTES) tables.delete(tables.keys().next().value);
      tables.set(key, { logits: row.value, parts: new Map() });
      tell(1);
    };
    later(work);
  }

  function parts(found, off) {
    return options.keys.filter((_, i) => off.units[i]).map((unit) => {
      if (!found.parts.has(unit)) found.parts.set(unit, partOf(found.logits, options.outputs, line, size, units[unit]));
      return found.parts.get(unit);
    });
  }

  function without(logits, row, removed) {
    if (line[row] >= 0)
      for (const part of removed) for (let c = 0; c < options.outputs; c++) logits[c] -= part[line[row] * options.outputs + c];
    return logits;
  }

  // One pair: {pattern, neurons, logits}; logits are null where a unit is off and all pairs are not there yet.
  function one(stage, a, b, off) {
    const result = forward(at(stage), a, b, masks(off));
    if (!off.units.some(Boolean)) return result;
    const found = table(stage, off);
    return { ...result, logits: found && without(result.logits, a * options.n + b, parts(found, off)) };
  }

  // The answer to every pair, or null where all pairs are not there yet.
  function answered(stage, off) {
    const found = table(stage, off);
    if (!found) return null;
    const key = off.units.join("");
    if (found.key !== key) {
      const removed = parts(found, off);
      const { outputs } = options;
      found.given = Int16Array.from(answers, (_, row) =>
        largest(without(found.logits.slice(row * outputs, (row + 1) * outputs), row, removed)));
      found.key = key;
    }
    return found.given;
  }

  return { at, one, table, begin, answered, units, answers, line };
}

// The probability of each output.
function softmax(logits) {
  const top = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const odds = logits.map((value) => Math.exp(value - top));
  const total = odds.reduce((sum, value) => sum + value, 0);
  return odds.map((value) => value / total);
}

// Angle and amplitude of a wave of k cycles in the logits of the elements on a cycle.
function waveOf(logits, { cycle, place }, k) {
  let [x, y] = [0, 0];
  place.forEach((at, c) => {
    if (at < 0) return;
    const angle = (2 * Math.PI * ((k * at) % cycle)) / cycle;
    x += logits[c] * Math.cos(angle);
    y += logits[c] * Math.sin(angle);
  });
  return { angle: Math.atan2(y, x), amplitude: Math.hypot(x, y) };
}
