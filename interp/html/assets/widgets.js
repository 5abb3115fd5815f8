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
