"""``python -m interp.measures``: the JSON object, the list, the table over training, and bad input."""

import csv
import json

import pytest
from oracles.handmade import handmade_run
from oracles.runs import SHAPES, random_run


@pytest.fixture(scope="module")
def handmade(tmp_path_factory):
    return handmade_run(tmp_path_factory.mktemp("handmade"), p=11, keys=(2, 5))


@pytest.fixture
def command(capsys):
    """``command(*argv)``: exit status, standard output and standard error."""
    from interp.measures.__main__ import main

    def go(*argv):
        status = main([str(arg) for arg in argv])
        return status, *capsys.readouterr()

    return go


def test_json_of_a_snapshot(handmade, command):
    from interp import open_run
    from interp.measures import load, measure_snapshot

    status, out, _ = command(handmade, "--step", 100, "--json")
    assert status == 0
    found = json.loads(out)
    values = measure_snapshot(open_run(handmade)[100])
    assert set(found) - {"unavailable"} | set(found.get("unavailable", {})) == set(load())
    assert found["test_loss"] == values["test_loss"]
    assert found["W_E_energy"] == {str(k): value for k, value in values["W_E_energy"].items()}
    last = json.loads(command(handmade, "--json")[1])
    assert last["test_loss"] < found["test_loss"]  # the last step is the default


def test_what_does_not_apply_is_absent_with_its_reason(tmp_path, command):
    run = random_run(tmp_path, **SHAPES["polynomial"])
    found = json.loads(command(run.path, "--json")[1])
    assert "logit_cos" not in found
    assert "no sum or difference" in found["unavailable"]["logit_cos"]
    assert "logit_cos " in command(run.path)[1]


def test_numbers_that_are_not_finite_are_null(tmp_path, command):
    run = random_run(tmp_path, **SHAPES["add"])
    weights = {name: t * 0 for name, t in run.weights(0).items()}
    run.store.save_snapshot(20, weights)
    found = json.loads(command(run.path, "--json", "--only", "gini_W_E", "distance_irrelevance")[1])
    assert found == {"gini_W_E": None, "distance_irrelevance": None}


def test_list_names_measures_with_unit_and_source(command):
    status, out, _ = command("--list")
    assert status == 0
    line = next(line for line in out.splitlines() if line.startswith("excluded_loss_logit2d_train "))
    assert "nats" in line and "2301.05217" in line


def test_table_of_all_snapshots(handmade, command, tmp_path):
    path = tmp_path / "measures.csv"
    status, out, err = command(handmade, "--table", path, "--only", "test_loss", "logit_cos")
    assert status == 0
    assert out == f"{path}\n"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["step"] for row in rows if row["measure"] == "test_loss"] == ["0", "10", "100", "1000", "10000"]
    assert [row["k"] for row in rows if row["measure"] == "logit_cos" and row["step"] == "10"] == [
        "1",
        "2",
        "3",
        "4",
        "5",
    ]
    assert "step 10,000" in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--step", 17], "no snapshot at step 17"),
        (["--only", "logit_cosine"], "unknown measure 'logit_cosine'; did you mean 'logit_cos'?"),
        (["--key-freqs", 6], "key frequency 6 is out of range; it must be from 1 to 5"),
        (["--table", "x.csv", "--step", 10], "leave out --step"),
    ],
)
def test_bad_input_is_one_line_and_status_2(handmade, command, argv, message):
    status, out, err = command(handmade, *argv)
    assert status == 2
    assert message in err and len(err.splitlines()) == 1
    assert out == ""


def test_no_run_and_no_such_run(command, tmp_path):
    assert command()[0] == 2
    status, _, err = command(tmp_path / "nothing")
    assert status == 2 and len(err.splitlines()) == 1


def test_key_freqs_of_a_run(handmade, tmp_path):
    from interp import key_freqs, open_run
    from train.errors import UsageError

    assert sorted(key_freqs(open_run(handmade)).ks) == [2, 5]
    assert key_freqs(open_run(handmade, key_freqs=[3])).origin == "given"
    with pytest.raises(UsageError, match="no key frequencies: the answers of x2_y2"):
        key_freqs(random_run(tmp_path, **SHAPES["polynomial"]))
