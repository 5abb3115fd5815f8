"""``python -m interp.scaling`` and ``python -m train.scaling``: what they print, write and refuse."""

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
    from interp.scaling.flow import flow, wide
    from interp.scaling.spectrum import power_law

    status, out, _ = theory("flow", *TASK, "--t-max", "1e4", "--json")
    found, curve = json.loads(out), flow(wide(power_law(1.5, 0.5)), 1.0, 1e4)
    assert status == 0 and list(found) == ["t", "loss", "q"]
    assert found["t"][0] == 0 and found["t"][-1] == 1e4 and found["loss"] == curve.loss.tolist()
    total = sum(k**-1.75 for k in range(1, 100_000)) + 100_000**-0.75 / 0.75
    assert found["loss"][0] == pytest.approx(total, rel=1e-5) and found["q"][0] == 1
    narrow = json.loads(theory("flow", *TASK, "--t-max", "1e4", "--n", "16", "--json")[1])
    assert narrow["loss"][-1] > 10 * found["loss"][-1]
    assert len(theory("flow", *TASK, "--t-max", "10")[1].splitlines()) == 11


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("flow", "--alpha", "1", "--beta", "0.5", "--gamma", "1", "--t-max", "10"), "alpha = 1 is not allowed"),
        (("flow", "--alpha", "1.5", "--beta", "0", "--gamma", "1", "--t-max", "10"), "beta = 0 is not allowed"),
        (("flow", "--alpha", "nan", "--beta", "1", "--gamma", "1", "--t-max", "10"), "alpha = nan is not allowed"),
        (("flow", *TASK, "--t-max", "-1"), "t_max = -1 is not allowed"),
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
    from train.scaling.runs import read_simulation

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
        (("narrow", "--eta", "0"), 2, "eta = 0"),
        (("narrow", "--eta", "5", "--n", "8"), 3, "unstable at step 0: q = 1, eta q sigma_max ="),
        (("hard-rich", "--eta", "0.4", "--n", "64", "--m", "64"), 3, "give --eta 0."),
    ],
)
def test_bad_simulations_are_refused_and_nothing_is_written(simulation, tmp_path, argv, status, says):
    found, out, err = simulation(*argv, "--out", tmp_path / "runs")
    assert found == status and says in err and len(err.splitlines()) == 1 and out == ""
    assert not (tmp_path / "runs").exists()


def test_theory_never_imports_the_simulator():
    from pathlib import Path

    import interp.scaling

    for path in Path(str(interp.scaling.__file__)).parent.glob("*.py"):
        assert "train.scaling import" not in path.read_text(), path
