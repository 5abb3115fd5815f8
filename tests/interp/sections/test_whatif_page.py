"""The what-if widget and the neuron widget in a browser: what they say against PyTorch, by pointer and by keyboard."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from browser import launched, opened_in, wait_until
from oracles.eight import eight_runs
from oracles.runs import SHAPES, random_run
from scripted import write_widgets

SAID, COUNT = ".wi-said", ".wi-table + .wi-note"
NAMES = ("grokked", "never", "memorising", "one_snapshot", "s5", "div_or_sub", "mlp", "imported")
MORE = {"smallest": {"p": 2}} | {name: SHAPES[name] for name in ("attention", "norm", "mul", "div", "group")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, one_thread):
    folder = tmp_path_factory.mktemp("runs")
    more = {name: random_run(folder / name, **fields) for name, fields in MORE.items()}
    more["irreps"] = random_run(folder / "irreps", outputs="answers", **SHAPES["group"])
    more["mul"].given_key_freqs = (1,)
    return eight_runs(folder) | more


@pytest.fixture(scope="module")
def browser():
    with launched() as chromium:
        yield chromium


def widgets_of(run) -> list[Any]:
    from interp.html.widgets import Widget
    from interp.sections import neurons, whatif

    return [block for block in [*whatif.build(run), *neurons.build(run)] if isinstance(block, Widget)]


@pytest.fixture
def show(runs, browser, tmp_path):
    """``show(name)``: the page of a run's widgets; none may complain or ask for anything."""
    open_pages = []

    def go(name, **how):
        context = opened_in(browser, write_widgets(tmp_path, widgets_of(runs[name])), **how)
        opened = context.__enter__()
        open_pages.append((context, opened))
        wait_until(opened.page, "!document.querySelector('.wi').textContent.includes('Computing all pairs')", 20)
        return opened.page

    yield go
    for context, opened in open_pages:
        assert (opened.problems, opened.requests) == ([], [])
        context.__exit__(None, None, None)


def answer(logits, run, a, b):
    """The most probable output's name and its probability in percent, by PyTorch."""
    row = logits[a * run.task.table.n + b].double().softmax(dim=-1)
    return run.task.vocabulary[int(row.argmax())], 100 * float(row.max())


def logits_of(run, step, hooks=()):
    with run[step].model.hooks(fwd_hooks=list(hooks)):
        return run[step].answer_logits()[:, 0]


def said_answer(text):
    """The answer and its probability in percent that the summary states."""
    found = re.search(
        r"answers (?:\S+ [-+*/] \S+ = )?(\S+)(?: to a = .*?)? with probability (?:more than )?([\d.]+)\s%", text
    )
    assert found, text
    return found[1], float(found[2])


def assert_says(page, logits, run, a, b):
    name, share = answer(logits, run, a, b)
    text = page.locator(SAID).inner_text()
    found = said_answer(text)
    assert found[0] == name and found[1] == pytest.approx(min(share, 99.9), abs=0.3), (text, name, share)


def settled(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    wait_until(page, "!/[Cc]omputing all pairs/.test(document.querySelector('.wi').textContent)", 20)


@pytest.mark.parametrize("name", [*NAMES, *MORE])
def test_every_kind_of_run_says_what_its_network_answers(show, runs, name):
    run, page = runs[name], show(name)
    options = widgets_of(run)[0].options
    a, b = options["start"]
    for i, stage in enumerate(options["stages"]):
        page.get_by_role("button", name=stage["label"], exact=True).click()
        settled(page)
        logits = logits_of(run, stage["step"])
        assert_says(page, logits, run, a, b)
        assert page.locator(SAID).inner_text().startswith(stage["when"])
        labels, is_defined = run.task.table.values.flatten(), run.task.is_defined
        right = int(((logits.argmax(dim=1) == labels) & is_defined).sum())
        count = page.locator(COUNT).inner_text()
        every = int(is_defined.sum())
        words = {0: f"none of the {every:,} pairs.", every: f"all {every:,} pairs."}
        assert count.startswith(f"Right on {words.get(right, f'{right:,} of {every:,} pairs (')}"), count
        pressed = page.evaluate("[...document.querySelectorAll('.wi-stages button')].map((x) => x.ariaPressed)")
        assert [value == "true" for value in pressed] == [j == i for j in range(len(pressed))]


def test_the_summary_is_a_sentence_of_the_reader_s_choice(show, runs):
    """By typing, by the table's keys, by dragging; and a wrong answer is called wrong."""
    page, run = show("grokked"), runs["grokked"]
    logits = logits_of(run, run.steps[-1])
    assert page.locator(SAID).get_attribute("aria-live") == "polite"
    page.get_by_label("a", exact=True).fill("12")
    page.get_by_label("b", exact=True).fill("9")
    settled(page)
    text = page.locator(SAID).inner_text()
    assert text.startswith("At step 10,000 the network answers 12 + 9 = 21 with probability more than 99.9")
    assert "which is right" in text
    trained = bool(run.task.is_train[12 * 23 + 9])
    assert text.endswith("It was trained on this pair." if trained else "It was not trained on this pair.")
    table = page.locator(".wi-table")
    table.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowLeft"):
        table.press(key)
        settled(page)
    assert "answers 13 + 8 = 21 " in page.locator(SAID).inner_text()
    assert page.evaluate("[window.state.a, window.state.b]") == [13, 8]
    box = table.bounding_box()
    assert box is not None
    cell = box["width"] / 23
    page.mouse.move(box["x"] + 2.5 * cell, box["y"] + 3.5 * cell)
    page.mouse.down()
    page.mouse.move(box["x"] + 20.5 * cell, box["y"] + 7.5 * cell, steps=3)
    page.mouse.up()
    settled(page)
    assert "answers 7 + 20 = 4 " in page.locator(SAID).inner_text()
    assert_says(page, logits, run, 7, 20)
    page.get_by_label("a", exact=True).fill("400")
    settled(page)
    assert page.evaluate("window.state.a") == 22, "a number out of range is put right"
    page.evaluate("window.state.a = 3; window.state.b = 4; window.shown.forEach((widget) => widget.show())")
    settled(page)
    assert "answers 3 + 4 = 7 " in page.locator(SAID).inner_text(), "the page's state moves the widget"
    for odd in ("99", "-1", "1.5", "'x'", "undefined", "'</b>'"):
        page.evaluate(f"window.state.a = window.state.neuron = window.state.k = {odd}")
        page.evaluate("window.shown.forEach((widget) => widget.show())")
        settled(page)
        assert " + 4 = " in page.locator(SAID).inner_text(), "a state that no pair has, as from an address, is ignored"


def test_switches_by_keyboard_are_pytorchs_ablations(show, runs):
    from interp.circuits import ablate_frequencies, ablate_heads, ablate_neurons
    from interp.parts.structure import find_law

    page, run = show("grokked"), runs["grokked"]
    options = widgets_of(run)[0].options
    step, law = run.steps[-1], find_law(run.task)
    a, b = options["start"]
    clusters = {cluster["name"]: cluster["neurons"] for cluster in options["clusters"]}
    hooks = {
        "head 1": ablate_heads([1]),
        "neurons of frequency 5": ablate_neurons(clusters["frequency 5"]),
        "frequency 3": ablate_frequencies(law, [3]),
    }
    whole = logits_of(run, step)
    on: list[str] = []
    for label in hooks:
        box = page.get_by_label(label, exact=True)
        box.focus()
        box.press("Space")
        on.append(label)
        settled(page)
        # the order of the hooks is that of the model: heads, neurons, then what is left of the logits
        logits = logits_of(run, step, [hook for name in on for hook in hooks[name]])
        assert not np.allclose(logits, whole, atol=1)  # control: a switch changes the logits
        assert_says(page, logits, run, a, b)
        text = page.locator(SAID).inner_text()
        assert all(name in text for name in on) and "without" in text
        right = int((logits.argmax(dim=1) == run.task.table.values.flatten()).sum())
        count = page.locator(COUNT).inner_text()
        assert count.startswith(f"Right on {right} of 529" if right < 529 else "Right on all 529"), (count, right)
    every = page.get_by_role("button", name="Everything on")
    every.focus()
    every.press("Enter")
    settled(page)
    assert "without" not in page.locator(SAID).inner_text()
    assert not page.evaluate("[...document.querySelectorAll('.wi fieldset input')].some((box) => box.checked)")
    assert_says(page, whole, run, a, b)


def test_an_irrep_is_switched_off_as_a_frequency_is(show, runs, monkeypatch):
    from interp.measures.restricted import logit_parts
    from interp.parts.irreps import line_of
    from interp.story import network

    name, run = "2.1", runs["irreps"]
    run.kept.clear()
    monkeypatch.setattr(network, "key_irreps_of", lambda run: (name,))
    page = show("irreps")
    page.get_by_label(f"irrep {name}", exact=True).check()
    settled(page)
    a, b = widgets_of(run)[0].options["start"]
    whole = logits_of(run, run.steps[-1])
    logits = whole - logit_parts(run.last, (name,))[line_of(run)].float()
    assert_says(page, logits, run, a, b)
    assert not torch.allclose(logits.softmax(dim=1), whole.softmax(dim=1), atol=1e-2)  # control
    assert page.locator(".wi-circles").count() == 0, "a group has no circles"


def test_pairs_without_an_answer_and_pairs_outside_the_cycle_are_called_so(show, runs):
    page = show("div")
    page.get_by_label("b", exact=True).fill("0")
    settled(page)
    assert page.locator(SAID).inner_text().endswith("This pair has no answer.")
    assert "right" not in page.locator(SAID).inner_text()
    page = show("mul")
    page.get_by_label("frequency 1", exact=True).check()
    for a, is_apart in (("2", False), ("0", True)):
        page.get_by_label("a", exact=True).fill(a)
        settled(page)
        assert ("outside the cycle" in page.locator(SAID).inner_text()) == is_apart
    logits = logits_of(runs["mul"], 10)
    assert_says(page, logits, runs["mul"], 0, 1)


def test_a_circle_chooses_its_frequency_and_shows_the_angles(show, runs):
    page = show("grokked")
    page.get_by_label("a", exact=True).fill("2")
    page.get_by_label("b", exact=True).fill("4")
    settled(page)
    circle = page.get_by_role("button", name=re.compile("^frequency 5: "))
    words = circle.get_attribute("aria-label")
    turns = {name: round(360 * ((5 * x / 23 + 0.5) % 1 - 0.5)) for name, x in (("a 2", 2), ("b 4", 4), ("answer 6", 6))}
    for name, degrees in turns.items():
        assert f"{name} at {degrees} degrees" in words, (words, turns)
    assert f"the network's logits at {turns['answer 6']} degrees" in words
    assert turns["a 2"] != turns["answer 6"]  # control
    circle.press("Enter")
    assert page.evaluate("window.state.k") == 5
    settled(page)
    assert circle.get_attribute("aria-pressed") == "true"
    circle.press("Enter")
    assert page.evaluate("window.state.k") is None


def test_attention_and_neurons_are_those_of_the_pair(show, runs):
    run, page = runs["norm"], show("norm")
    _, cache = run.last.run_with_cache()
    a, b = 3, 5
    page.get_by_label("a", exact=True).fill(str(a))
    page.get_by_label("b", exact=True).fill(str(b))
    settled(page)
    shown = page.evaluate("[...document.querySelectorAll('.wi-number')].map((x) => Number(x.textContent))")
    pattern = cache["blocks.0.attn.hook_pattern"][a * 7 + b, :, -1].flatten().numpy()
    np.testing.assert_allclose(shown, pattern, atol=0.011)
    neuron = [neuron for cluster in widgets_of(run)[0].options["clusters"] for neuron in cluster["neurons"]][2]
    strip = page.locator(".wi-strip")
    strip.focus()
    for _ in range(3):
        strip.press("ArrowRight")
        settled(page)
    assert page.evaluate("window.state.neuron") == neuron
    value = float(cache["blocks.0.mlp.hook_post"][a * 7 + b, -1, neuron])
    found = re.search(r": ([\d.]+)\.$", page.locator(".wi-strip ~ p.wi-note").inner_text().replace("\u2212", "-"))
    assert found and float(found[1]) == pytest.approx(value, abs=1e-2 * abs(value) + 1e-3)
    assert page.get_by_label("Neuron", exact=True).input_value() == str(neuron), "the neuron widget follows"


@pytest.mark.parametrize("name", ["grokked", "mlp", "norm", "s5", "div_or_sub"])
def test_any_neuron_shows_its_map_and_its_spectrum(show, runs, name):
    """The canvas's own pixels against the activations, through the colour scale; the named share against Python's."""
    from interp.parts.activations import neurons_of
    from interp.parts.clusters import unit_fve
    from interp.parts.memo import NotApplicable

    run, page = runs[name], show(name)
    n, neuron = run.task.table.n, 5
    page.get_by_label("Neuron", exact=True).fill(str(neuron))
    settled(page)
    values = neurons_of(run.last)[:, neuron].numpy()
    pixels = page.evaluate(
        "() => { const all = document.querySelectorAll('.ne-map'); const map = all[all.length - 1];"
        " return Array.from(map.getContext('2d').getImageData(0, 0, map.width, map.height).data) }"
    )
    green = np.array(pixels).reshape(n * n, 4)[:, 1]  # rises along the whole scale
    if values.max() > values.min():
        share = (values - values.min()) / (values.max() - values.min())
        order = np.argsort(share, kind="stable")
        assert (np.diff(green[order].astype(int)) >= -4).all()
        assert green[share.argmax()] == 231 and green[share.argmin()] == 1
    text = page.locator(".ne-stage").last.inner_text()
    try:
        names, fve = unit_fve(run.last)
    except NotApplicable:
        assert "No spectrum: " in page.locator(".ne").inner_text()
        return
    best = int(fve[:, neuron].argmax())
    if values.max() > values.min():
        assert f"{names[best]} explains" in text
        found = re.search(r"explains (?:more than )?([\d.]+)\s%", text)
        assert found and float(found[1]) == pytest.approx(min(100 * float(fve[best, neuron]), 99.9), abs=1)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
@pytest.mark.parametrize("name", ["grokked", "s5", "smallest"])
def test_nothing_overlaps_or_runs_out_of_the_page(show, name, scheme, width):
    page = show(name, scheme=scheme, size=(width, 900))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    overlaps = """
    () => {
      const texts = [];
      const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) {
        if (!walk.currentNode.textContent.trim() || walk.currentNode.parentElement.closest("style, option")) continue;
        const range = document.createRange();
        range.selectNodeContents(walk.currentNode);
        for (const box of range.getClientRects()) texts.push([walk.currentNode.textContent, box]);
      }
      const found = [];
      texts.forEach(([one, x], i) => texts.slice(i + 1).forEach(([other, y]) => {
        const across = Math.min(x.right, y.right) - Math.max(x.left, y.left);
        const down = Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top);
        if (across > 1 && down > 3) found.push([one, other]);
      }));
      return found;
    }"""
    assert page.evaluate(overlaps) == []
    page.evaluate("document.querySelector('.wi-said').style.height = '5px'")
    page.evaluate("document.querySelector('.wi-said').style.minHeight = '5px'")
    assert page.evaluate(overlaps) != [], "control"


def test_everything_that_takes_the_focus_has_a_name(show):
    page = show("grokked")
    names = """
    () => [...document.querySelectorAll("main input, main select, main button, main [tabindex]")].map((element) => {
      const labels = [...(element.labels ?? [])].map((label) => label.textContent);
      return element.ariaLabel || labels.join("") || element.textContent;
    })
    """
    found = page.evaluate(names)
    assert len(found) > 15 and all(name.strip() for name in found)
    assert len(set(found)) == len(found), "and no two the same"
    images = page.evaluate("[...document.querySelectorAll('canvas:not([aria-hidden])')].map((x) => x.ariaLabel)")
    assert all(len(label) > 20 for label in images)


def test_a_run_without_such_a_network_says_why(tmp_path):
    from interp.html.blocks import Text
    from interp.sections import whatif

    (block,) = whatif.build(random_run(tmp_path, **SHAPES["two"]))
    assert isinstance(block, Text) and block.markdown == "Not shown: the page computes models of one layer."
