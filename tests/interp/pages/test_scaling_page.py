"""The page of the solvable model: one offline file whose selects change every figure."""

import numpy as np
import pytest


@pytest.fixture
def small(monkeypatch):
    """The page with two values of each parameter, few widths and a single draw."""
    from interp.pages import overview as page

    monkeypatch.setattr(page, "GRID", {"alpha": (2.0, 1.5), "beta": (1.25, 0.5), "gamma": (0.0, 4.0)})
    monkeypatch.setattr(page, "WIDTHS", (8, 16, 32, 64, 128))
    monkeypatch.setattr(page, "DRAWS", 1)
    return page


def test_the_page_has_what_the_theory_says(small, tmp_path):
    """Each choice of the selects shows the curves that the theory's functions give."""
    from browser import opened, wait_until

    from interp.pages.writing import write
    from interp.theory.exponents import exponents
    from interp.theory.flow import flow, wide
    from interp.theory.spectrum import power_law

    path = write(small.build(), tmp_path / "page")
    assert path == tmp_path / "page/index.html" and path.stat().st_size < 8e6
    with opened(path) as open_page:
        page = open_page.page
        assert page.locator("select").count() == 3 and not page.locator("input[type=range]").is_visible()
        said = page.locator("output")
        assert said.inner_text() == "alpha = 1.5, beta = 0.5, gamma = 4"
        for alpha, beta, gamma in ((1.5, 0.5, 4.0), (2.0, 0.5, 0.0), (1.5, 1.25, 4.0)):
            for i, value in enumerate((alpha, beta, gamma)):
                page.locator("select").nth(i).select_option(f"{value:g}")
            name = f"alpha = {alpha:g}, beta = {beta:g}, gamma = {gamma:g}"
            wait_until(page, f"document.querySelector('output').textContent === '{name}'")
            data = page.evaluate(
                "async () => { await window.page.flush(); const all = {};"
                "for (const [id, panel] of window.page.panels)"
                "  all[id] = panel.shown.map(t => ({x: Array.from(t.x ?? []), y: Array.from(t.y ?? [])}));"
                "return all; }"
            )
            theory, _, simulated, residual = data["curves.loss_over_time"]
            expected = flow(wide(power_law(alpha, beta)), gamma, 1e4).at(np.array(theory["x"]))
            np.testing.assert_allclose(theory["y"], expected, rtol=2e-3)
            near = np.interp(np.log(simulated["x"]), np.log(theory["x"]), np.log(theory["y"]))
            np.testing.assert_allclose(simulated["y"], np.exp(near), rtol=0.1)
            assert np.abs(residual["y"]).max() < 0.1
            assert data["regimes.phases"][1] == {"x": [alpha], "y": [beta]}
            time = exponents(alpha, beta, gamma).time  # sent in 16 bits of a range below 2
            assert data["regimes.time_exponent"][2]["y"] == pytest.approx([time], abs=2 / 65_535)
        assert open_page.problems == [] and open_page.requests == []


def test_choices_that_are_no_grid_are_refused():
    from interp.html.page import Page, PageSection

    with pytest.raises(ValueError, match="2 steps are not the grid"):
        Page("t", "s", [PageSection("a", "A", [])], {}, (0, 1), ("x", "y"), {"a": ("1", "2", "3")})
