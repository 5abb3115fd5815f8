// --- plotly, for figures that are looked at closely --------------------------------------------------------------------------------

const CONFIG = { showSendToCloud: false, displaylogo: false, responsive: true };
const CLEAR = "rgba(0,0,0,0)";
const isNarrow = matchMedia("screen and (max-width: 640px)");
let plotly = null;

// The script element holds text whose hash the page's policy names, so that it may run.
function loadPlotly() {
  plotly ??= inflated(byId("page.plotly").textContent).then((buffer) => {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(buffer);
    document.head.append(script);
  });
  return plotly;
}

// The figure's own layout, with what the page decides: colours by scheme, width, the legend's place.
function dressed({ layout: own, template }) {
  const { ink, line, panel } = colours();
  const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, tickcolor: line };
  const solid = { ...axis, showbackground: false };
  const { data, layout = {} } = template;
  const margin = { t: 36, r: 16, b: 48, l: isNarrow.matches ? 44 : 60, ...layout.margin };
  const themed = { ...layout, margin, xaxis: { ...layout.xaxis, ...axis }, yaxis: { ...layout.yaxis, ...axis },
    scene: { ...layout.scene, xaxis: solid, yaxis: solid, zaxis: solid },
    polar: { ...layout.polar, bgcolor: CLEAR, angularaxis: axis, radialaxis: axis } };
  return {
    ...structuredClone(own),
    template: { data, layout: themed },
    paper_bgcolor: CLEAR,
    plot_bgcolor: CLEAR,
    font: { ...own.font, color: ink },
    hoverlabel: { bgcolor: panel, bordercolor: line, font: { color: ink } },
    modebar: { bgcolor: CLEAR, color: line, activecolor: ink },
    legend: isNarrow.matches ? { ...own.legend, orientation: "h", x: 0, y: -0.25, yanchor: "top" } : own.legend,
    height: Math.max(own.height, 380),
    width: printing ? PAPER_PX.figure : undefined,
  };
}

async function drawClosely(panel) {
  const [i, share] = panel.at();
  const look = `${i} ${share} ${isDark.matches} ${isNarrow.matches} ${printing}`;
  if (panel.lookedAt === look) return;
  panel.lookedAt = look;
  await loadPlotly();
  if (!panel.closely) return;
  const data = panel.resolve().map((trace) => ({ ...trace, ...(trace.marker ? { marker: { ...trace.marker } } : {}) }));
  const layout = dressed(panel.figure);
  panel.closely.style.height = `${layout.height}px`; // plotly's own box takes all of it and gives none
  await Plotly.react(panel.closely, data, layout, CONFIG);
}

function lookClosely(panel) {
  panel.closely ??= html("div", { class: "closely" });
  if (!panel.closely.isConnected) panel.plot.after(panel.closely);
  panel.plot.hidden = true;
  panel.element.classList.add("looked-at");
  return drawClosely(panel);
}

function lookAway(panel) {
  window.Plotly?.purge(panel.closely);
  panel.closely.remove();
  panel.closely = panel.lookedAt = null;
  panel.plot.hidden = false;
  panel.element.classList.remove("looked-at");
  panel.draw();
}

function wireCloser(panel) {
  const button = panel.element.querySelector(".closer");
  if (!button) return;
  if (panel.figure.plotly !== null) return button.remove();
  button.addEventListener("click", () => {
    const isOpen = Boolean(panel.closely);
    button.setAttribute("aria-pressed", String(!isOpen));
    if (isOpen) lookAway(panel);
    else lookClosely(panel);
  });
}
