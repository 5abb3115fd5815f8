"use strict";
// Elements, canvases and words that the widgets share.

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// A canvas as wide as its place; paint(context, width, height) draws it in CSS pixels.
function canvasOf(height, label, paint) {
  const element = make("canvas", { role: "img", "aria-label": label, style: `width: 100%; height: ${height}px` });
  return { element, draw: (words) => {
    const ratio = window.devicePixelRatio || 1;
    const width = element.clientWidth || 300;
    element.width = Math.round(width * ratio);
    element.height = Math.round(height * ratio);
    const context = element.getContext("2d");
    context.scale(ratio, ratio);
    if (words) element.setAttribute("aria-label", words);
    paint(context, width, height);
  } };
}

// An image [n, n] of colours, a pixel a cell, painted by colourOf(row) = [red, green, blue].
function paintCells(element, n, colourOf) {
  element.width = element.height = n;
  const context = element.getContext("2d");
  const image = context.createImageData(n, n);
  for (let row = 0; row < n * n; row++) image.data.set([...colourOf(row), 255], 4 * row);
  context.putImageData(image, 0, 0);
}

function channels(hex) {
  const number = parseInt(hex.trim().replace("#", ""), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

// A whole number below `count` from the page's state, which may come from an address; null where it is none.
function chosen(value, count) {
  const number = Number(value ?? NaN);
  return Number.isInteger(number) && number >= 0 && number < count ? number : null;
}

// Calls back at most once a frame, however often it is asked.
function onceAFrame(callback) {
  let frame = 0;
  return () => (frame ||= requestAnimationFrame(() => {
    frame = 0;
    callback();
  }));
}

// A control of `count` values in which a reader chooses one: a number where values are their own numbers, else a list.
function chooser(label, values, choose) {
  const isNumber = values.every((value, i) => value === String(i));
  const read = (event) => {
    const value = Math.round(Number(event.target.value));
    if (event.target.value !== "" && Number.isFinite(value)) choose(Math.min(Math.max(value, 0), values.length - 1));
  };
  const input = isNumber
    ? make("input", { type: "number", min: 0, max: values.length - 1, step: 1, onchange: read, oninput: read })
    : make("select", { onchange: read }, ...values.map((value, i) => make("option", { value: i }, value)));
  return { element: make("label", {}, `${label} `, input), show: (value) => {
    if (Number(input.value) !== value || input.value === "") input.value = value;
  } };
}

// Arrow keys: move(rows down, columns right).
function onArrows(element, move) {
  const ways = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  element.addEventListener("keydown", (event) => {
    if (!ways[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(...ways[event.key]);
  });
}

function percent(share) {
  if (share > 0.9995) return "more than 99.9\u00a0%";
  if (share < 0.0005) return "less than 0.1\u00a0%";
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

// How many of all: in words where it is none or all.
function countOf(count, all, what) {
  if (count === 0) return `none of the ${all.toLocaleString("en")} ${what}`;
  if (count === all) return `all ${all.toLocaleString("en")} ${what}`;
  return `${count.toLocaleString("en")} of ${all.toLocaleString("en")} ${what} (${percent(count / all)})`;
}

function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

// Three digits, with a power of ten where there would be many zeros.
function plain(value) {
  const [front, power] = value.toExponential(2).split("e").map(Number);
  const isFar = value !== 0 && (power < -3 || power > 5);
  const raised = () => String(power).replace(/./g, (c) => "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"["-0123456789".indexOf(c)]);
  const text = isFar ? `${front} \u00d7 10` : value.toLocaleString("en", { maximumSignificantDigits: 3 });
  return text.replace("-", "\u2212") + (isFar ? raised() : "");
}

function largest(values) {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}
