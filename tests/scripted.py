"""A page without a report that holds the scripts of a run's computed network, and what they compute there."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
SCRIPTS = ("html/assets/widgets.js", "sections/assets/forward.js", "sections/assets/spectra.js")
COMPUTE = """
([pool, keys, options, step, off, wants]) => {
  const arrays = unpackArrays(pool, keys);
  const weights = Object.fromEntries(Object.entries(arrays).filter(([name]) => name.startsWith("w_"))
    .map(([name, array]) => [name.slice(2), array]));
  const net = network(weights, options, step);
  const packed = (values) => {
    const bytes = new Uint8Array(values.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
  };
  if (wants === "neuron") return packed(neuronMap(net, off));
  if (wants === "shares") {
    const values = neuronMap(net, off);
    return sharesOf(values, options.n, { ...options, answers: arrays.answers.values }, unitsOf(options, arrays.bases));
  }
  if (wants === "one") {
    const start = performance.now();
    for (let i = 0; i < 200; i++) forward(net, i % options.n, (7 * i) % options.n);
    return (performance.now() - start) / 200;
  }
  const start = performance.now();
  const rows = everyPair(net, off);
  let row = rows.next();
  while (!row.done) row = rows.next();
  const logits = row.value;
  for (const i of off.units ?? []) {
    const line = Int32Array.from(arrays.answers.values, (answer) => (answer < 0 ? -1 : options.place[answer]));
    const size = options.cycle ?? options.n;
    off.parts = off.units.map((j) => partOf(logits, options.outputs, line, size, unitsOf(options, arrays.bases)[j]));
    off.units = [];
    line.forEach((place, pair) => {
      if (place < 0) return;
      const n = options.outputs;
      for (const part of off.parts) for (let c = 0; c < n; c++) logits[pair * n + c] -= part[place * n + c];
    });
  }
  return [packed(logits), performance.now() - start];
}
"""


def write_harness(folder: Path) -> Path:
    """An HTML file with the scripts alone."""
    path = folder / "harness.html"
    scripts = "".join(f"<script>{(ROOT / 'interp' / name).read_text()}</script>" for name in SCRIPTS)
    path.write_text(f'<!doctype html><meta charset="utf-8"><title>Harness</title>{scripts}')
    return path


@contextmanager
def harness(folder: Path) -> Iterator[Any]:
    """The harness in a browser: a playwright page without errors or requests."""
    from browser import opened

    with opened(write_harness(folder)) as page:
        yield page.page
        assert (page.problems, page.requests) == ([], [])


def computed(
    page: Any, arrays: dict[str, np.ndarray], options: Any, step: int, off: Any = None, wants: str = ""
) -> Any:
    """What the page computes of a network: the logits of all pairs [n * n, outputs], or what ``wants`` names."""
    from interp.html.widgets import Widget, pooled

    pool, (keys,) = pooled([Widget("x", "", "", "", "", "x", "", arrays)])
    argument = [pool, keys, json.loads(json.dumps(options)), step, {} if off is None else off, wants]
    result = page.evaluate(COMPUTE, argument)
    if wants == "neuron":
        return np.frombuffer(base64.b64decode(result), np.float64)
    if wants:
        return result
    return np.frombuffer(base64.b64decode(result[0]), np.float32).reshape(-1, options["outputs"])
