// --- widgets: see html/widgets.py ---------------------------------------------------------------------------------------------

const isDark = matchMedia("screen and (prefers-color-scheme: dark)");
let printing = false;

function colours() {
  const style = getComputedStyle(document.documentElement);
  const scheme = isDark.matches && !printing ? "dark" : "light";
  const named = (name) => style.getPropertyValue(`--${name}-${scheme}`).trim();
  return { ink: named("ink"), soft: named("soft"), line: named("line"), panel: named("panel"), accent: named("accent"), isDark: scheme === "dark" };
}

class Widget {
  constructor(element, data, views) {
    this.element = element;
    this.inView = false;
    this.isStale = true;
    const arrays = Object.fromEntries(Object.entries(data.arrays).map(([name, { array }]) =>
      [name, { values: decoded(views[array]), shape: views[array].shape }]));
    const select = (name, value) => (name === "step" ? go(facts.steps[nearest(facts.steps, value)])
      : change(selectionsOf(name)[0], value));
    const api = { state, select, colours, steps: facts.steps };
    this.made = window.widgets[data.name](element.querySelector(".widget"), arrays, data.options, api);
  }

  changed() {
    this.isStale = true;
    this.draw();
  }

  draw(always = false) {
    if (!this.isStale || !(this.inView || always)) return;
    this.isStale = false;
    this.made.show();
  }

  redress() {
    this.changed();
  }
}
