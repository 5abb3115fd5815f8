"""Foreign files are read, or refused in one line, whatever their bytes and values."""

import io
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
NUMBERS = st.integers(-(10**400), 10**400) | st.floats() | st.sampled_from([0, 1, -1, 2**63, 1e308, 10**12])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
SETTINGS = ["op", "p", "group", "train_frac", "lr", "batch_size", "n_layers", "seed", "biases", "split_seed", "preset"]


# ---- JSON ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"NaN", "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b"[1e400]", "1e400"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[" * 20_000 + b"]" * 20_000, "deep"),
        (b'{"a":' * 20_000, "deep"),
        (b"\xff\xfe", "utf-8"),
        (b"", "Expecting value"),
        (b"9" * 5_000, "64 bits"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_what_is_no_json_is_refused(text, says):
    from train.storage.json_files import loads

    with pytest.raises(ValueError, match=says):
        loads(text, 100_000)


@FEW
@given(VALUES)
def test_json_is_read_as_it_was_written(value):
    from train.storage.json_files import loads

    try:
        text = json.dumps(value, allow_nan=False)
        expected = json.loads(text)
    except ValueError:  # no JSON
        return
    try:
        assert loads(text.encode(), 1_000) == expected
    except ValueError as error:
        assert any(words in str(error) for words in ("64 bits", "NUL", "surrogate"))


@FEW
@given(st.binary(max_size=40))
def test_any_bytes_are_json_or_a_value_error(data):
    from train.storage.json_files import loads

    try:
        loads(data, 100)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("kind", ["pipe", "zero", "folder", "huge"])
def test_only_small_regular_files_are_read(tmp_path, kind):
    from train.storage.json_files import read_json

    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(10**12)
    started = time.monotonic()
    with pytest.raises((OSError, ValueError)) as error:
        read_json(Path("/dev/zero") if kind == "zero" else path)
    assert str(error.value) and time.monotonic() - started < 1


# ---- settings and sweeps ---------------------------------------------------------------------------------


@FEW
@given(st.dictionaries(st.sampled_from(SETTINGS) | st.text(max_size=5), VALUES, max_size=3))
def test_any_settings_are_a_config_or_a_value_error(fields):
    from train.config.run import RunConfig
    from train.config.settings import override

    try:
        config = override(RunConfig(), fields)
        assert len(config.run_id) < 100
    except ValueError as error:
        assert str(error) and len(str(error)) < 3_000


PART = st.dictionaries(st.sampled_from(SETTINGS), st.lists(VALUES, max_size=3) | VALUES, max_size=2) | VALUES
SPEC = st.fixed_dictionaries(
    {},
    optional={
        "base": PART,
        "axes": PART,
        "arms": st.dictionaries(st.text(max_size=3), PART, max_size=2) | VALUES,
        "seeds": VALUES | st.text("0123456789.,", max_size=9) | st.lists(NUMBERS, max_size=3),
        "stop": st.dictionaries(st.sampled_from(["test_acc", "steps", "x"]), VALUES, max_size=2) | VALUES,
        "slurm": VALUES,
    },
)


@FEW
@given(SPEC)
def test_any_sweep_is_a_spec_or_a_usage_error(given):
    from train.errors import UsageError
    from train.sweep.spec import parse_spec

    try:
        found = parse_spec(given, "x", "", "x.toml")
        assert found.cells
    except UsageError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[axes]\nlr = [" + ",".join(f"{i}e-4" for i in range(1, 1001)) + ']\nweight_decay = ['
         + ",".join(map(str, range(1000))) + "]\nbeta1 = [" + ",".join(f"0.{i}" for i in range(100, 200)) + "]\n"
         + "\nbeta2 = [" + ",".join(f"0.{i}" for i in range(100, 200)) + "]\n", "the sweep has 10,000,000,000 runs"),
        ("a." * 140_000 + "b = 1", "line 1 has a name of too many parts"),
        ('seeds = "0..1000000000000"', "1,000,000,000,001 seeds"),
        ('seeds = "0..9999999999999999999999"', "is not allowed"),
        (f"seeds = [{','.join(map(str, range(10_001)))}]", "10,001 numbers"),
        ("a = " + "[" * 20_000 + "]" * 20_000, "nested too deeply"),
        ("[base]\np = 0x" + "f" * 10_000, "whole number of 40,000 bits"),
        ("[base]\nlr = nan", "lr = nan"),
        ("[base]\npreset = [1]", "preset = [1] is not allowed"),
        ("[axes]\nop = 1979-05-27", "must be a list"),
        ("[axes]\nop = [1979-05-27]", "is not allowed"),
        ("[axes]\nlr = [[1]]", "must be numbers or words"),
        ("[stop]\ntest_acc = 'high'", "test_acc = 'high'"),
        ("[stop]\nsteps = 1.5", "steps = 1.5"),
        ("[base]\nmomentum = 0.9\n[arms.a]\noptimizer = 'sgd'\n[arms.b]\noptimizer = 'adamw'", "arm = 'b'"),
    ],
    ids=lambda x: x[:24],
)  # fmt: skip
def test_sweeps_that_are_traps_end_in_a_line(tmp_path, capsys, text, says):
    from train.sweep.__main__ import main

    path = tmp_path / "s.toml"
    path.write_text(text)
    started = time.monotonic()
    status = main([str(path), "--dry-run", "--device", "cpu", "--out", str(tmp_path / "out")])
    took = time.monotonic() - started
    out, err = capsys.readouterr()
    assert (status, out, len(err.splitlines())) == (2, "", 1) and err.startswith("error: "), err
    assert says in err and took < 5
    assert [p.name for p in tmp_path.iterdir()] == ["s.toml"]


@FEW
@given(VALUES)
def test_any_sweep_json_is_read_or_a_data_error(tmp_path_factory, value):
    from train.errors import DataError
    from train.sweep.info import read_info

    root = tmp_path_factory.mktemp("sweep")
    made = value if isinstance(value, dict) else {}
    for about in (value, {"format": "sweep 1", "name": "x", "spec": value}, {"format": "sweep 1", **made}):
        (root / "sweep.json").write_text(json.dumps(about))
        with pytest.raises(DataError, match="no sweep that can be read"):
            read_info(root)
    good = {"format": "sweep 1", "name": "x", "spec": "seeds = [1]"}
    (root / "sweep.json").write_text(json.dumps(good))
    assert len(read_info(root).cells) == 1, "the control"


@FEW
@given(VALUES, VALUES, VALUES)
def test_what_workers_say_is_shown_or_passed_over(tmp_path_factory, at, runs, row):
    from train.sweep.display import summary

    root = tmp_path_factory.mktemp("sweep")
    (root / ".status").mkdir()
    for i, said in enumerate((at, {"at": at, "runs": runs}, {"at": 1e12, "runs": {"a": row}})):
        (root / f".status/{i}.json").write_text(json.dumps(said))
    assert summary(root, {"a"}, 2).startswith("1 of 2 runs done")


@FEW
@given(VALUES, st.sampled_from(["step", "train_loss", "test_loss", "train_acc", "test_acc", "wall_s"]))
def test_any_log_of_a_run_makes_a_row_of_the_table(tmp_path_factory, value, name):
    from train.sweep.results import table
    from train.sweep.spec import parse_spec

    root = tmp_path_factory.mktemp("sweep")
    spec = parse_spec({"base": {"p": 5}}, "x", "", "x")
    run = root / spec.cells[0].config.run_id
    run.mkdir()
    row = {"step": 0, "train_loss": 1.0, "test_loss": 1.0, "train_acc": 0.0, "test_acc": 0.0, "wall_s": 1.0}
    (run / "run.json").write_text("{}")
    (run / "log.jsonl").write_text(json.dumps(row | {name: value}) + "\n")
    for error in (value, {"error": value}):
        (run / "failed.json").write_text(json.dumps(error))
        assert table(root, spec)["status"].tolist() == ["failed"]
        assert isinstance(table(root, spec)["error"][0], str)


# ---- simulations -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    """A simulation on disk and its files."""
    from train.scaling.config import ScalingConfig
    from train.scaling.simulate import simulate
    from train.scaling.store import write_simulation

    path, config = tmp_path_factory.mktemp("simulation"), ScalingConfig(n=4, m=8, steps=20, seeds=2)
    write_simulation(path, config, simulate(config))
    return path, {name: (path / name).read_bytes() for name in ("run.json", "curves.npz")}


@FEW
@given(st.data())
def test_a_changed_simulation_is_never_read_as_another(simulation, data):
    from train.errors import DataError
    from train.scaling.store import read_simulation

    path, files = simulation
    name = data.draw(st.sampled_from(sorted(files)))
    bad = bytearray(files[name])
    where = data.draw(st.integers(0, len(bad) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    if how == "flip":
        bad[where] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del bad[where:]
    else:
        bad[where:where] = data.draw(st.binary(min_size=1, max_size=9))
    config, found = read_simulation(path)
    try:
        (path / name).write_bytes(bytes(bad))
        try:
            again, changed = read_simulation(path)
        except DataError as error:
            assert str(path) in str(error) and len(str(error)) < 3_000
        else:
            assert again == config and all(np.array_equal(getattr(changed, c), getattr(found, c)) for c in vars(found))
    finally:
        (path / name).write_bytes(files[name])


@FEW
@given(st.data())
def test_any_value_in_a_simulation_is_refused(simulation, data):
    from train.errors import DataError
    from train.scaling.store import is_simulation, read_simulation

    path, files = simulation
    about, value = json.loads(files["run.json"]), data.draw(VALUES)
    if data.draw(st.booleans()):
        about["config"][data.draw(st.sampled_from(sorted(about["config"])))] = value
    else:
        about = about | {data.draw(st.sampled_from(["format", "config", "id", "curves"])): value}
    if json.dumps(about) == json.dumps(json.loads(files["run.json"])):
        return
    try:
        (path / "run.json").write_text(json.dumps(about))
        is_simulation(path)
        with pytest.raises(DataError, match="no simulation that can be read"):
            read_simulation(path)
    finally:
        (path / "run.json").write_bytes(files["run.json"])


@pytest.mark.parametrize("kind", ["bomb", "huge shape", "objects", "zero", "text", "old"])
def test_curves_that_are_traps(simulation, tmp_path, kind):
    from train.errors import DataError
    from train.scaling.store import CURVES, read_simulation

    path, files = simulation
    save: Any = np.savez
    save_compressed: Any = np.savez_compressed
    about = json.loads(files["run.json"])
    del about["curves"], about["id"]  # as earlier versions wrote it, without checksums
    with np.load(io.BytesIO(files["curves.npz"])) as loaded:
        curves = dict(loaded)
    buffer = io.BytesIO()
    if kind == "bomb":
        save_compressed(buffer, **curves | {"loss": np.ones((2, 7_000_000))})
    elif kind == "objects":
        save(buffer, **curves | {"loss": np.array([{}, {}], dtype=object)})
    elif kind == "text":
        save(buffer, **curves | {"loss": np.array(["a", "b"])})
    elif kind == "huge shape":
        save(buffer, **curves)
        buffer = io.BytesIO(buffer.getvalue().replace(b"'shape': (2, ", b"'shape': (9, "))
    else:
        save(buffer, **curves)
    (tmp_path / "run.json").write_text(json.dumps(about))
    if kind == "zero":
        (tmp_path / "curves.npz").symlink_to("/dev/zero")
    else:
        (tmp_path / "curves.npz").write_bytes(buffer.getvalue())
    started = time.monotonic()
    if kind == "old":
        config, found = read_simulation(tmp_path)
        assert config.steps == 20 and all(np.array_equal(getattr(found, c), curves[c]) for c in CURVES)
        return
    with pytest.raises(DataError, match="no simulation that can be read"):
        read_simulation(tmp_path)
    assert time.monotonic() - started < 2
