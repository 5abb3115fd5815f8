"""Main-thread CPU of a page while its slider moves, through the browser's own counters of thread time.

Usage: python tests/benchmarks/scrubbing.py reports/RUN/index.html [--markdown]

At each place of the page, one screen after another, the slider goes once through its steps; a step's cost is the growth
of the browser's TaskDuration in thread ticks, which leave out waiting. First paint is what the main thread has spent
until the lead's panels are drawn.
"""

import argparse
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser import launched

STEPS = 24
"""Number of slider positions measured at a place, spread over the slider."""
SETTLE_MS = 120


def main(argv: list[str] | None = None) -> int:
    """Measure and print one line per place, and the median and the worst. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("page", type=Path)
    options = parser.parse_args(argv)
    with launched() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        client = page.context.new_cdp_session(page)
        client.send("Performance.enable", {"timeDomain": "threadTicks"})

        def spent_ms() -> float:
            metrics = client.send("Performance.getMetrics")["metrics"]
            return 1000 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")

        page.goto(options.page.absolute().as_uri())
        page.wait_for_function("document.querySelectorAll('.painted').length >= 3")
        page.wait_for_timeout(50)
        print(f"first paint of the lead: {spent_ms():.0f} ms of main-thread CPU")
        page.wait_for_timeout(3000)  # until every section is unpacked, while the browser is idle
        places = []
        height = page.evaluate("document.documentElement.scrollHeight")
        for top in range(0, height, 700):
            page.evaluate(f"window.scrollTo({{top: {top}, behavior: 'instant'}})")
            page.wait_for_timeout(SETTLE_MS)
            name = page.evaluate("[...document.querySelectorAll('figure')].filter((f) => { const r ="
                                 " f.getBoundingClientRect(); return r.bottom > 0 && r.top < innerHeight; })"
                                 ".map((f) => f.id).join(' ')")  # fmt: skip
            costs = []
            count = page.evaluate("Number(document.getElementById('page.slider').max)")
            for i in range(STEPS):
                before = spent_ms()
                page.evaluate(
                    """(i) => new Promise((done) => {
                      const slider = document.getElementById("page.slider");
                      slider.value = i;
                      slider.dispatchEvent(new Event("input"));
                      requestAnimationFrame(() => requestAnimationFrame(done));
                    })""",
                    round(i * count / (STEPS - 1)),
                )
                costs.append(spent_ms() - before)
            places.append((name, median(costs), max(costs)))
    for name, middle, most in places:
        print(f"{middle:6.1f} ms median {most:6.1f} ms most   {name}")
    print(f"{median(middle for _, middle, _ in places):6.1f} ms median over places, "
          f"{max(middle for _, middle, _ in places):.1f} ms at the worst place")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
