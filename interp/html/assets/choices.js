"use strict";
// Selects in the slider's place: the page's steps are a grid of choices, the last of which changes fastest.
(() => {
  const { choices } = JSON.parse(document.getElementById("page.data").textContent);
  const slider = document.getElementById("page.slider");
  const selects = Object.entries(choices).map(([name, values]) => {
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.append(...values.map((value) => new Option(value)));
    label.append(`${name} `, select);
    slider.before(label);
    return select;
  });
  const chosen = () => selects.reduce((index, select) => index * select.length + select.selectedIndex, 0);
  const follow = () => {
    let index = Number(slider.value);
    for (const select of [...selects].reverse()) {
      select.selectedIndex = index % select.length;
      index = Math.floor(index / select.length);
    }
  };
  for (const select of selects) select.addEventListener("change", () => {
    slider.value = chosen();
    slider.dispatchEvent(new Event("input"));
  });
  slider.addEventListener("input", follow);
  slider.style.display = document.getElementById("page.play").style.display = "none";
  follow();
})();
