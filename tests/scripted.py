"""A page without a report that holds the scripts of a run's computed network, and what they compute there."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
SCRIPTS = ("sections/assets/forward.js", "sections/assets/spectra.js")
UNPACK = """
"use strict";
// Widgets: see html/widgets.py. An array of the page is unpacked when it is first asked for, and then kept.
(() => {
  const KINDS = { f4: Float32Array, u1: Uint8Array, u2: Uint16Array, i2: Int16Array, u4: Uint32Array };
  let halves = null;

  function half(code) {
    const sign = code & 0x8000 ? -1 : 1;
    const exponent = (code >> 10) & 31;
    const fraction = code & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  function unpack({ dtype, shape, b64 }) {
    const text = atob(b64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    if (dtype !== "f2") return { values: new KINDS[dtype](bytes.buffer), shape };
    halves ??= Float32Array.from({ length: 65536 }, (_, code) => half(code));
    return { values: Float32Array.from(new Uint16Array(bytes.buffer), (code) => halves[code]), shape };
  }

  const unpacked = new Map();

  window.unpackArrays = (pool, keys) => Object.fromEntries(Object.entries(keys).map(([name, key]) => {
    if (!unpacked.has(key)) unpacked.set(key, unpack(pool[key]));
    return [name, unpacked.get(key)];
  }));
})();
"""
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


def pooled(widgets: Iterable[Any]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The arrays of all widgets as {dtype, shape, b64} by key, each once, and each widget's keys by array name."""
    pool: dict[str, Any] = {}
    keys = [{name: _add(pool, array) for name, array in widget.arrays.items()} for widget in widgets]
    return pool, keys


def _add(pool: dict[str, Any], array: np.ndarray) -> str:
    from interp.html.widgets import DTYPES

    dtype = DTYPES[array.dtype.name]
    data = np.ascontiguousarray(array).astype(f"<{dtype}").tobytes()
    key = hashlib.sha256(f"{dtype}{array.shape}".encode() + data).hexdigest()[:16]
    pool[key] = {"dtype": dtype, "shape": array.shape, "b64": base64.b64encode(data).decode()}
    return key


def write_harness(folder: Path) -> Path:
    """An HTML file with the scripts alone."""
    path = folder / "harness.html"
    texts = [UNPACK, *((ROOT / "interp" / name).read_text() for name in SCRIPTS)]
    scripts = "".join(f"<script>{text}</script>" for text in texts)
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
    pool, keys = pooled(widgets)
    of_page = [
        {"name": each.name, "id": each.id, "keys": own, "options": each.options}
        for each, own in zip(widgets, keys, strict=True)
    ]
    data = json.dumps({"pool": pool, "widgets": of_page}).replace("<", "\\u003c")
    style = (ROOT / "interp/html/assets/page.css").read_text()
    scripts = [UNPACK, *(each.script for each in widgets), MOUNT]
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
    from interp.html.widgets import Widget

    pool, (keys,) = pooled([Widget("x", "", "", "", "", "x", "", arrays)])
    argument = [pool, keys, json.loads(json.dumps(options)), step, {} if off is None else off, wants]
    result = page.evaluate(COMPUTE, argument)
    if wants == "neuron":
        return np.frombuffer(base64.b64decode(result), np.float64)
    if wants:
        return result
    return np.frombuffer(base64.b64decode(result[0]), np.float32).reshape(-1, options["outputs"])
