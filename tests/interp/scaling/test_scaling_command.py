"""``python -m interp.scaling`` and ``python -m train.scaling``: output, files and refused input."""

import functools
import json

import pytest


@pytest.fixture
def ran(capsys):
    """``ran(main, *argv)``: exit status, standard output, standard error."""

    def run(main, *argv):
        status = main([str(a) for a in argv])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def theory(ran):
    from interp.scaling.__main__ import main

    return functools.partial(ran, main)


@pytest.fixture
def simulation(ran):
    from train.scaling.__main__ import main

    return functools.partial(ran, main)


TASK = ("--alpha", "1.5", "--beta", "0.5", "--gamma", "1")


def test_exponents_as_json(theory):
    status, out, _ = theory("exponents", *TASK, "--json")
    found = json.loads(out)
    assert status == 0 and list(found) == ["regime", "time", "model", "data", "compute", "n_opt", "t_opt"]
    assert found["regime"] == "hard" and found["data"] is None and found["time"] == pytest.approx(2 / 3)
    assert "not claimed" in theory("exponents", *TASK)[1]


def test_flow_as_json(theory):
    from interp.theory.flow import flow, wide
    from interp.theory.spectrum import power_law

    status, out, _ = theory("flow", *TASK, "--t-max", "1e4", "--json")
    found, curve = json.loads(out), flow(wide(power_law(1.5, 0.5)), 1.0, 1e4)
    assert status == 0 and list(found) == ["t", "loss", "q"]
    assert found["t"][0] == 0 and found["t"][-1] == 1e4 and found["loss"] == curve.loss.tolist()
    total = sum(k**-1.75 for k in range(1, 100_000)) + 100_000**-0.75 / 0.75
    assert found["loss"][0] == pytest.approx(total, rel=1e-5) and found["q"][0] == 1
    narrow = json.loads(theory("flow", *TASK, "--t-max", "1e4", "--n", "16", "--json")[1])
    assert narrow["loss"][-1] > 10 * found["loss"][-1]
    assert len(theory("flow", *TASK, "--t-max", "10")[1].splitlines()) == 11


def test_late_losses_are_the_flows(theory):
    """Late losses in closed form (lazy, and rich on a hard task) agree with the numerical flow."""
    import math

    lazy = json.loads(theory("late", *TASK[:4], "--gamma", "0", "--t", "1e5,1e6", "--json")[1])
    assert lazy["formula"] == pytest.approx([math.gamma(0.5) / 1.5 * (2 * t) ** -0.5 for t in (1e5, 1e6)], rel=1e-12)
    rich = json.loads(theory("late", *TASK[:4], "--gamma", "100", "--t", "1e6", "--json")[1])
    for found in (lazy, rich):
        assert found["ratio"] == pytest.approx([1] * len(found["t"]), abs=0.02)
        assert found["ratio"] == [a / b for a, b in zip(found["flow"], found["formula"], strict=True)]
    early = json.loads(theory("late", *TASK[:4], "--gamma", "0", "--t", "0.1", "--json")[1])
    assert abs(early["ratio"][0] - 1) > 0.1  # control: the formula is of late times
    assert len(theory("late", *TASK[:4], "--gamma", "0")[1].splitlines()) == 5


def test_plateaus_of_width_and_samples(theory):
    """On an easy task the plateau falls as N^-alpha with the width, and as P^-(alpha beta) with the samples."""
    import math

    found = json.loads(theory("plateaus", "--alpha", "1.5", "--beta", "1.5", "--sizes", "1000,4000", "--json")[1])
    slopes = {name: math.log(found[name][1] / found[name][0]) / math.log(4) for name in ("width", "samples")}
    assert slopes == {"width": pytest.approx(-1.5, abs=0.05), "samples": pytest.approx(-2.25, abs=0.05)}
    out = theory("plateaus", "--alpha", "1.5", "--beta", "1.5")[1].splitlines()
    assert out[0].split() == ["size", "width", "samples"] and len(out) == 5


def test_a_front_and_its_exponents(theory):
    """Measured exponents of a front match the predicted ones; with batches the front is that of the exact mean."""
    flags = ("front", "--alpha", "1.5", "--beta", "0.5", "--gamma", "0", "--widths", "8,16,32,64,128")
    found = json.loads(theory(*flags, "--draws", 2, "--json")[1])
    assert found["predicted"] == pytest.approx([0.3, 0.4]) and found["measured"] == pytest.approx([0.3, 0.4], abs=0.1)
    assert found["compute"] == sorted(found["compute"]) and len(found["n"]) >= 3
    batches = json.loads(theory(*flags, "--draws", 1, "--b", 2, "--eta", 0.2, "--json")[1])
    assert batches["loss"] != found["loss"]
    assert "loss falls as C^-0.300" in theory(*flags, "--draws", 1)[1].splitlines()[-1]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("late", "--alpha", "1.5", "--beta", "1.5", "--gamma", "1"), "the formula needs beta < 1"),
        (("late", *TASK, "--t", "0"), "t = 0 is not allowed"),
        (("late", *TASK, "--t"), "--t"),
        (("plateaus", *TASK[:4], "--sizes", "0"), "size = 0 is not allowed"),
        (("front", *TASK, "--widths", "16,32"), "2 widths are too few"),
        (("front", *TASK, "--widths", "16,32,64", "--b", "4"), "give gamma 0, or leave out b"),
        (("front", *TASK, "--widths", "16,32,64,10000000"), "a width of 10,000,000 needs"),
        (("flow", "--alpha", "1", "--beta", "0.5", "--gamma", "1", "--t-max", "10"), "alpha = 1 is not allowed"),
        (("flow", "--alpha", "1.5", "--beta", "0", "--gamma", "1", "--t-max", "10"), "beta = 0 is not allowed"),
        (("flow", "--alpha", "nan", "--beta", "1", "--gamma", "1", "--t-max", "10"), "alpha = nan is not allowed"),
        (("flow", "--alpha", "400", "--beta", "1", "--gamma", "1", "--t-max", "10"), "alpha = 400 is not allowed"),
        (("exponents", "--alpha", "2", "--beta", "1e9", "--gamma", "1", "--json"), "beta = 1e+09 is not allowed"),
        (("flow", *TASK[:4], "--gamma", "1e300", "--t-max", "10"), "gamma = 1e+300 is not allowed"),
        (("flow", *TASK, "--t-max", "-1"), "t_max = -1 is not allowed"),
        (("flow", *TASK, "--t-max", "1e300"), "t_max = 1e+300 is not allowed"),
        (("flow", *TASK, "--t-max", "10", "--n", "4", "--seed", "-1"), "seed = -1 is not allowed"),
        (("flow", *TASK, "--t-max", "10", "--n", "10000000"), "a width of 10,000,000 needs"),
        (("flow", *TASK, "--t-max", "10", "--n", "0"), "n = 0 is not allowed"),
        (("exponents", "--alpha", "1.5", "--beta", "0.5", "--gamma", "-1"), "gamma = -1 is not allowed"),
        (("exponents", "--alpha", "1.5", "--beta", "0.5"), "--gamma"),
        (("exponent", *TASK), "did you mean 'exponents'?"),
        (("flow", *TASK, "--tmax", "1"), "--t-max"),
    ],
)
def test_bad_input_is_one_line_and_status_2(theory, argv, says):
    status, out, err = theory(*argv)
    assert status == 2 and out == "" and says in err
    assert err.startswith("error: ") and len(err.splitlines()) == 1


def test_a_simulation_is_written_once_and_read(simulation, tmp_path):
    from train.scaling.store import read_simulation

    argv = ("narrow", "--n", 8, "--m", 32, "--steps", 50, "--out", tmp_path)
    status, out, _ = simulation(*argv)
    (path,) = tmp_path.iterdir()
    assert status == 0 and out.splitlines()[-1] == str(path)
    config, found = read_simulation(path)
    assert (config.n, config.m, config.steps) == (8, 32, 50) and found.loss.shape == (4, len(found.step))
    assert found.t[-1] == pytest.approx(50 * config.eta) and (found.q == 1).all()
    before = {p: p.stat().st_mtime_ns for p in path.iterdir()}
    assert simulation(*argv)[1] == out and {p: p.stat().st_mtime_ns for p in path.iterdir()} == before
    (path / "curves.npz").write_bytes(b"broken")
    status, _, err = simulation(*argv)
    assert status == 3 and "no simulation that can be read" in err and len(err.splitlines()) == 1
    assert "hard-rich" in simulation("--list")[1]


@pytest.mark.parametrize(
    ("argv", "status", "says"),
    [
        (("hard",), 2, "no preset 'hard'"),
        ((), 2, "which preset?"),
        (("narrow", "--alpha", "0.9"), 2, "alpha = 0.9"),
        (("narrow", "--beta", "-1"), 2, "beta = -1"),
        (("narrow", "--b", "8"), 2, "tail needs the population"),
        (("narrow", "--dynamics", "matrix"), 2, "matrix dynamics of the projected form hold no tail"),
        (("few-samples", "--b", "8"), 2, "b and p exclude each other"),
        (("hard-rich", "--n", "10"), 2, "n = m"),
        (("narrow", "--form", "random_features", "--gamma", "1"), 2, "random features do not learn"),
        (("narrow", "--steps", "0"), 2, "steps = 0"),
        (("narrow", "--seed", "-1"), 2, "seed = -1"),
        (("narrow", "--n", "100000000"), 2, "this simulation needs"),
        # the kernel of what is trained on, not the population's: a few samples' is larger, and batches add noise
        (("few-samples", "--n", "64", "--m", "64", "--p", "1", "--eta", "1.5"), 3, "unstable at step 0: q = 1, eta q"),
        (
            ("narrow", "--no-tail", "--n", "8", "--p", "1", "--eta", "2"),
            3,
            "unstable at step 0: q = 1, eta q sigma_max =",
        ),
        (("super-easy-sgd", "--n", "64", "--m", "64", "--eta", "0.9", "--b", "1"), 3, "of which the noise of batches"),
        (("narrow", "--eta", "0"), 2, "eta = 0"),
        (("narrow", "--eta", "5", "--n", "8"), 3, "unstable at step 0: q = 1, eta q sigma_max ="),
        (("hard-rich", "--eta", "0.4", "--n", "64", "--m", "64"), 3, "give --eta 0."),
    ],
)
def test_bad_simulations_are_refused_and_nothing_is_written(simulation, tmp_path, argv, status, says):
    found, out, err = simulation(*argv, "--out", tmp_path / "runs")
    assert found == status and says in err and len(err.splitlines()) == 1 and out == ""
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def made(simulation, tmp_path):
    """``made(*flags)``: the directory of a small simulation."""

    def make(*flags):
        status, out, err = simulation(*flags, "--out", tmp_path / "runs")
        assert status == 0, err
        return out.splitlines()[-1]

    return make


TINY = ("narrow", "--n", 8, "--m", 32, "--steps", 60, "--eta", 0.2, "--seeds", 12)
MEAN_FIELD = ("hard-rich", "--n", 24, "--m", 24, "--no-tail", "--b", 32, "--seeds", 24, "--gamma", 1)


@pytest.mark.parametrize(
    ("flags", "theory_is", "most"),
    [
        (("hard-lazy", "--n", 64, "--m", 64), "lazy recursion, exact", 1e-12),
        (("hard-rich", "--n", 64, "--m", 64), "closed gradient flow", 0.01),
        (TINY, "lazy recursion, exact, mean over 16 draws", None),
        ((*TINY, "--no-tail", "--gamma", 1), "closed gradient flow, mean over 16 draws", None),
        ((*TINY, "--no-tail", "--b", 8, "--eta", 0.1), "lazy recursion, exact, mean over 16 draws", None),
        ((*TINY, "--no-tail", "--p", 20, "--gamma", 1), "closed gradient flow, mean over 16 draws", None),
        (
            (*MEAN_FIELD, "--steps", 60),
            "mean field theory, whole to first order in 1/N and 1/B, solved to step 30 of 60",
            0.1,
        ),
        pytest.param(
            (*MEAN_FIELD, "--steps", 150),
            "mean field theory, whole to first order in 1/N and 1/B, solved to step 100 of 150",
            0.1,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_each_kind_of_training_is_compared_with_its_theory(theory, made, monkeypatch, flags, theory_is, most):
    """Simulation and theory agree exactly, within the effect of the step size, or within the scatter of draws.

    The mean field theory, whose cost grows as the cube of the steps that are solved, is told to end at 30 in place of
    100: which theory is taken, where it is cut off and that it agrees up to there do not depend on that number.
    """
    import re

    import numpy as np

    from interp.scaling import comparison

    last = int(found[1]) if (found := re.search(r"to step (\d+)", theory_is)) else 100
    monkeypatch.setattr(comparison, "LONGEST", last)
    found = json.loads(theory("compare", made(*flags), "--json")[1])
    assert found["which"] == theory_is and found["config"]["eta"] > 0
    residual, error = (np.array(found[name][1:], dtype=float) for name in ("residual", "residual_error"))
    known = np.isfinite(residual)
    assert known[np.array(found["step"][1:]) <= last].all()
    if most is None:
        assert (np.abs(residual[known]) < 4.5 * error[known] + 0.02).all()
    else:
        assert np.abs(residual[known]).max() < most


def test_the_control_another_task_is_far_from_the_theory(made):
    from pathlib import Path

    from interp.scaling.comparison import predicted
    from train.scaling.store import read_simulation

    config, found = read_simulation(Path(made("hard-lazy", "--n", 64, "--m", 64, "--steps", 200)))
    other = type(config)(**{**config.to_json(), "beta": 0.6})
    assert abs(found.loss[0] / predicted(other, found.step)[1] - 1).max() > 0.05


def test_a_comparison_as_a_table_and_bad_directories(theory, made, tmp_path):
    path = made("hard-lazy", "--n", 16, "--m", 16, "--steps", 30)
    out = theory("compare", path)[1].splitlines()
    assert out[0] == "lazy recursion, exact" and out[1].split()[:4] == ["step", "t", "loss", "theory"]
    assert len(out) == 12 and "-" in out[2].split()  # no standard error of one seed
    status, out, err = theory("compare", tmp_path)
    assert status == 3 and "no simulation that can be read" in err and len(err.splitlines()) == 1


def test_the_report_of_a_simulation(ran, made, tmp_path):
    """``interp.report`` tells a simulation from a run, and draws theory and simulation."""
    from browser import opened

    from interp.report import main

    path = made("narrow", "--n", 8, "--m", 32, "--steps", 200)
    status, out, err = ran(main, path, "--out", tmp_path / "page")
    assert status == 0 and out.strip() == str(tmp_path / "page/index.html") and err.endswith(" kB  the page\n")
    with opened(tmp_path / "page/index.html") as open_page:
        open_page.page.evaluate("window.page.flush()")
        names = open_page.page.evaluate(
            "[...window.page.panels.values()][0].shown.map((t) => [t.name, t.x.length, t.error_y !== undefined])"
        )
        assert [name for name, *_ in names] == ["theory", "simulation", "residual"]
        assert names[1][1] > 20 and names[1][2] and not names[0][2]
        assert "standard errors at most" in open_page.page.inner_text("body")
        assert open_page.problems == [] and open_page.requests == []
    assert ran(main, path, "--out", tmp_path / "page", "--quiet")[0] == 0
    status, _, err = ran(main, path, "--only", "curves")
    assert status == 2 and "leave out --only" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "flags",
    [
        ("hard-rich", "--n", 64, "--m", 64, "--eta", 0.4),
        ("hard-rich", "--n", 64, "--m", 64, "--gamma", 100, "--eta", 1),
        ("narrow", "--n", 16, "--gamma", 20, "--eta", 0.5),
    ],
)
def test_the_safe_step_size_is_safe(simulation, tmp_path, flags):
    """The step size that the refusal suggests trains, on rich hard tasks, where q keeps growing."""
    import re

    status, _, err = simulation(*flags, "--out", tmp_path)
    found = re.search(r"give --eta (\S+) or less", err)
    assert status == 3 and found is not None
    assert simulation(*flags[:-1], float(found[1]), "--out", tmp_path)[0] == 0


def test_broken_simulations_are_one_line_and_status_3(theory, ran, made, tmp_path):
    import io
    from pathlib import Path

    import numpy as np

    from interp.report import main as report

    path = Path(made("narrow", "--n", 4, "--m", 16, "--steps", 40, "--seeds", 2))
    about, packed = (path / "run.json").read_text(), (path / "curves.npz").read_bytes()
    with np.load(io.BytesIO(packed)) as curves:
        good = {name: curves[name] for name in curves.files}

    def holding(**changes):
        buffer = io.BytesIO()
        np.savez(buffer, **{**good, **changes})
        return buffer.getvalue()

    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    nan = good["loss"].copy()
    nan[0, 3] = np.nan
    files = [
        *(packed[:700], b"", bytes(flipped), holding(loss=good["loss"][:, :5]), holding(loss=good["loss"].astype(str))),
        *(holding(loss=nan), holding(loss=0 * good["loss"]), holding(step=-good["step"]), holding(q=good["q"][:1])),
        holding(step=good["step"] + 0.5),
    ]
    texts = [about.replace('"n": 4', text) for text in ('"n": 4.5', '"n": -1', '"m": 4')]
    texts += [about.replace("scaling 1", "scaling 9"), about[:100], about.replace('"projected"', '"folded"')]
    cases = [(about, data) for data in files] + [(text, packed) for text in texts]
    for text, data in cases:
        (path / "run.json").write_text(text)
        (path / "curves.npz").write_bytes(data)
        status, out, err = theory("compare", path)
        assert status == 3 and out == "" and len(err.splitlines()) == 1 and "Traceback" not in err, (text[:80], err)
        status, out, err = ran(report, path, "--out", tmp_path / "page")
        assert status in (2, 3) and len(err.splitlines()) == 1 and not (tmp_path / "page").exists()
    (path / "run.json").write_text(about)
    (path / "curves.npz").write_bytes(packed)
    assert theory("compare", path)[0] == 0  # control


def test_a_theory_that_cannot_be_solved_leaves_the_simulation(theory, ran, made, tmp_path, monkeypatch):
    """A theory that does not converge (here by a limit of one iteration) leaves the simulation readable."""
    from interp.report import main as report

    path = made("hard-rich", "--n", 32, "--m", 32, "--no-tail", "--b", 4, "--eta", 0.2, "--steps", 30, "--gamma", 1)
    monkeypatch.setattr("interp.theory.dmft.ITERATIONS", 1)
    found = json.loads(theory("compare", path, "--json")[1])
    assert found["which"].startswith("none: the mean field theory did not converge") and found["theory"][-1] is None
    assert ran(report, path, "--out", tmp_path / "page")[0] == 0
    assert "There is no theory to compare with" in (tmp_path / "page/index.html").read_text()


def test_comparing_needs_no_simulator():
    """A simulation on disk is read without ``train.scaling.simulate`` and without PyTorch."""
    import subprocess
    import sys

    def loaded(module):
        script = f"import sys, {module}; print('torch' in sys.modules, 'train.scaling.simulate' in sys.modules)"
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert loaded("interp.scaling.comparison") == ["False", "False"]
    assert loaded("train.scaling.simulate") == ["True", "True"]  # control
