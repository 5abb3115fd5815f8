// --- selects in the slider's place: the page's steps are a grid of choices, the last of which changes fastest ---------------------

function wireChoices() {
  const selects = Object.entries(facts.choices).map(([name, values]) => {
    const select = html("select", {}, ...values.map((value) => new Option(value)));
    slider.before(html("label", {}, `${name} `, select));
    return select;
  });
  const follow = () => {
    let index = facts.steps.indexOf(state.step);
    for (const select of [...selects].reverse()) {
      select.selectedIndex = index % select.length;
      index = Math.floor(index / select.length);
    }
  };
  for (const select of selects) select.addEventListener("change", () => {
    slider.value = selects.reduce((index, { length, selectedIndex }) => index * length + selectedIndex, 0);
    slider.dispatchEvent(new Event("input"));
  });
  listeners.push(follow);
  slider.style.display = playButton.style.display = "none";
  follow();
}

wireChoices();
