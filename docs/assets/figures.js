// Draws the figures of notebook pages from their JSON, in the colours of the page's scheme.
(() => {
  const figures = [...document.querySelectorAll(".gl-figure")];
  if (!figures.length) return;
  const here = document.currentScript.src;

  function draw(element) {
    const style = getComputedStyle(document.body);
    const ink = style.getPropertyValue("--md-default-fg-color").trim();
    const line = style.getPropertyValue("--md-default-fg-color--lightest").trim();
    const { data, layout } = JSON.parse(element.dataset.figure);
    const looks = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...layout.font, color: ink }, autosize: true, width: undefined };
    for (const key of Object.keys(looks).filter(key => /^[xy]axis/.test(key)).concat("xaxis", "yaxis"))
      looks[key] = { ...looks[key], gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
    Plotly.react(element, data, looks, { responsive: true, displaylogo: false, showSendToCloud: false });
  }

  const script = document.createElement("script");
  script.src = new URL("plotly.min.js", here).href;
  script.onload = () => {
    const all = () => figures.forEach(draw);
    all();
    new MutationObserver(all).observe(document.body, { attributes: true, attributeFilter: ["data-md-color-scheme"] });
  };
  document.head.append(script);
})();
