"use strict";
// One circle for each key frequency: a, b and the right answer as angles, and the angle of the network's logits.

const RADIUS = 40;

const onCircle = (angle, radius) => [radius * Math.cos(angle), -radius * Math.sin(angle)];

// An arc from one angle on by `turn` radians.
function arc(from, turn, radius) {
  const points = Array.from({ length: 33 }, (_, i) => onCircle(from + (turn * i) / 32, radius));
  return `M${points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join("L")}`;
}

// Labels round the circle; those of nearly equal angles share a place.
function labels(marks) {
  const groups = [];
  for (const { angle, text } of marks) {
    const near = groups.find((group) => Math.cos(group.angle - angle) > 0.75);
    if (near) near.texts.push(text);
    else groups.push({ angle, texts: [text] });
  }
  return groups.map(({ angle, texts }) => {
    const [x, y] = onCircle(angle, RADIUS + 12);
    const anchor = Math.abs(x) < 15 ? "middle" : x > 0 ? "start" : "end";
    return draw("text", { x, y: y + 4, "text-anchor": anchor }, [...new Set(texts)].join(", "));
  });
}

function circlesPanel(options, units, select) {
  const wrap = (turns) => turns - Math.round(turns); // from -1/2 to 1/2
  const shown = options.keys.map((i) => {
    const drawing = draw("svg", { viewBox: "-86 -62 172 124", "aria-hidden": "true" });
    const name = make("span", { class: "wi-name" });
    const button = make("button", { type: "button", class: "wi-circle", "aria-pressed": "false",
      onclick: () => select(units[i].k) }, drawing, name);
    return { unit: units[i], drawing, name, button };
  });

  const turns = (k, element) => wrap(((k * options.place[element]) % options.cycle) / options.cycle);

  function marksOf(k, { a, b, right }) {
    const named = [["a", a], ["b", b], ["answer", right]].filter(([, element]) => element >= 0 && options.place[element] >= 0);
    return named.map(([what, element]) => ({ what, angle: 2 * Math.PI * turns(k, element), text: options.elements[element] }));
  }

  function paint({ unit, drawing, name, button }, view, wave, longest) {
    const marks = marksOf(unit.k, view);
    const of = (what) => marks.find((mark) => mark.what === what);
    const parts = [draw("circle", { r: RADIUS, fill: "none", stroke: view.colours.line })];
    if (of("a")) parts.push(draw("path", { d: arc(0, of("a").angle, 14), fill: "none", stroke: view.colours.soft }));
    if (of("a") && of("b"))
      parts.push(draw("path", { d: arc(of("a").angle, options.sign * of("b").angle, 20), fill: "none", stroke: view.colours.soft, "stroke-dasharray": "3 2" }));
    if (wave && longest > 0) {
      const [x, y] = onCircle(wave.angle, (RADIUS * wave.amplitude) / longest);
      parts.push(draw("line", { x1: 0, y1: 0, x2: x, y2: y, stroke: unit.colour, "stroke-width": 3, "stroke-linecap": "round" }));
    }
    for (const { what, angle } of marks) {
      const [cx, cy] = onCircle(angle, RADIUS);
      parts.push(draw("circle", { cx, cy, r: what === "answer" ? 6 : 3.5, "stroke-width": 2,
        fill: what === "answer" ? "none" : view.colours.ink, stroke: what === "answer" ? "#009E73" : view.colours.ink }));
    }
    drawing.replaceChildren(...parts, ...labels(marks));
    drawing.setAttribute("fill", view.colours.ink);
    name.textContent = unit.name + (view.off.units[options.keys.indexOf(units.indexOf(unit))] ? " (off)" : "");
    button.setAttribute("aria-pressed", String(String(view.k) === String(unit.k)));
    button.setAttribute("aria-label", words(unit, marks, wave));
  }

  function words(unit, marks, wave) {
    const degrees = (angle) => `${Math.round((angle * 180) / Math.PI)} degrees`;
    const each = marks.map(({ what, angle, text }) => `${what === "answer" ? "the right answer" : what} ${text} at ${degrees(angle)}`);
    if (wave && wave.amplitude > 0) each.push(`the network's logits at ${degrees(wave.angle)}`);
    return `${unit.name}: ${each.join(", ")}`;
  }

  return {
    element: panel("Angles at the key frequencies", "Dots: a and b. Ring: the right answer, where the two arcs end. Line: the wave " +
      "in the network's logits, its length in proportion to the longest of them.", make("div", { class: "wi-circles" }, ...shown.map(({ button }) => button))),
    show(view) {
      const waves = shown.map(({ unit }) => view.result.logits && waveOf(view.result.logits, options, unit.k));
      const longest = Math.max(0, ...waves.map((wave) => (wave ? wave.amplitude : 0)));
      shown.forEach((each, i) => paint(each, view, waves[i], longest));
    },
  };
}
