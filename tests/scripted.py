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


MOUNT = """
const { pool, widgets } = JSON.parse(document.getElementById("data").textContent);
window.state = { step: null, k: null, neuron: null, a: null, b: null };
window.shown = [];
const api = {
  state: window.state,
  select: (name, value) => {
    window.state[name] = value;
    for (const widget of window.shown) widget.show();
  },
  colours: () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue("--" + name).trim();
    return { ink: of("ink"), line: of("line"), panel: of("panel") };
  },
};
for (const { name, id, keys, options } of widgets) {
  const element = document.getElementById(id);
  window.shown.push(window.widgets[name](element, unpackArrays(pool, keys), options, api));
}
for (const widget of window.shown) widget.show();
"""


def write_widgets(folder: Path, widgets: list[Any]) -> Path:
    """An HTML file that shows widgets with the page's style, and a state of its own."""
    from interp.html.widgets import pooled

    pool, keys = pooled(widgets)
    of_page = [
        {"name": each.name, "id": each.id, "keys": own, "options": each.options}
        for each, own in zip(widgets, keys, strict=True)
    ]
    data = json.dumps({"pool": pool, "widgets": of_page}).replace("<", "\\u003c")
    style = (ROOT / "interp/html/assets/page.css").read_text()
    scripts = [(ROOT / "interp/html/assets/widgets.js").read_text(), *(each.script for each in widgets), MOUNT]
    figures = "".join(f'<figure><h3>{each.heading}</h3><div id="{each.id}"></div></figure>' for each in widgets)
    path = folder / "widgets.html"
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Widgets</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style>'
        f"<main><h1>Widgets</h1><h2>Section</h2>{figures}</main>"
        f'<script type="application/json" id="data">{data}</script>'
        + "".join(f"<script>{script}</script>" for script in scripts)
    )
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
