"""A run as a sequence of snapshots: iteration, ranges of steps, pickling, cards in a notebook, imported modules."""

import pickle
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from oracles.handmade import handmade_run

STEPS = [0, 10, 100, 1000, 10000]
HOSTILE = "add-<script>alert(1)<script>&'\""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return handmade_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(home):
    from interp.runs.finding import open_run

    return open_run(home)


@pytest.fixture
def own_run(home, tmp_path):
    """A copy of the run, to damage or move."""
    from interp.runs.finding import open_run

    return open_run(shutil.copytree(home, tmp_path / "runs" / home.name))


# --- sequence -------------------------------------------------------------------------------------------


def test_a_run_is_a_sequence_of_its_snapshots(run):
    import numpy as np

    assert [snap.step for snap in run] == STEPS and len(run) == 5
    assert [snap.step for snap in reversed(run)] == STEPS[::-1]
    assert list(run)[2] is run[100] is run[np.int64(100)]
    assert 100 in run and np.int64(100) in run and run.last in run
    assert 99 not in run and run[0:50].last not in run  # control: the snapshot of another Run object


@pytest.mark.parametrize(
    ("start", "stop"), [(None, None), (None, 100), (100, None), (0, 101), (11, 99), (100, 10), (0, 0), (10**9, None)]
)
def test_a_range_holds_the_steps_that_python_compares(run, start, stop):
    lowest, end = 0 if start is None else start, float("inf") if stop is None else stop
    part = run[start:stop]
    assert part.steps == [step for step in STEPS if lowest <= step < end]
    logged = run.log["step"].tolist()
    assert part.log["step"].tolist() == [step for step in logged if lowest <= step < end]
    assert [snap.step for snap in part] == part.steps and type(part) is type(run)
    assert part.is_done == (end > STEPS[-1])


def test_ranges_of_ranges_and_what_they_keep(run):
    from interp.runs.run import Run

    part = Run(run.store, without=[100], key_freqs=[3])[10:5000][0:2000]
    assert part.steps == [10, 1000] and part.given_key_freqs == (3,)
    assert part.last.step == 1000 and part.nearest(10**6).step == 1000
    assert repr(part).endswith("2 snapshots to step 1,000, restricted to steps 10 to 1,999>")
    assert repr(part[10:11]).endswith("1 snapshot to step 10, restricted to step 10>")
    assert bool(run[1:2]) and repr(run[1:2]).endswith("no snapshots, restricted to step 1>")


def test_key_frequencies_of_a_range_are_chosen_at_its_end(run):
    """A range of steps has the key frequencies of its last: the hand-made model has none at step 0, three at 10."""
    from interp.parts.keyfreqs import key_freqs
    from train.errors import UsageError

    assert "step 100, provisional" in key_freqs(run[0:101]).origin
    with pytest.raises(UsageError, match="no frequency holds 1\u00a0% of the logits' energy at step 0"):
        key_freqs(run[0:1])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (slice(None, None, 10), "takes no stride; got 10: use .*run.steps"),
        (slice(None, None, 1), "takes no stride"),
        (slice(-5, None), "counts updates from 0; got -5: use run.last"),
        (slice(0, -1), "counts updates from 0; got -1"),
        (slice(0, 1.5), "got 1.5"),
        (1.5, "a step is a whole number; got 1.5: use run"),
        (100.0, "got 100.0"),
        (True, "got True"),
        ("100", "got '100'"),
        (None, "got None"),
        (-1, "nearest are 0, 10: run.last is the last one"),
        (99, r"nearest are 10, 100: use run.nearest\(99\)"),
    ],
)
def test_indices_that_are_no_steps_are_refused_in_one_line(run, index, message):
    from train.errors import UsageError

    with pytest.raises(UsageError, match=message) as error:
        run[index]
    assert "\n" not in str(error.value)


def test_a_missing_step_of_a_range_names_the_range(run):
    with pytest.raises(KeyError, match="at step 100 in steps 0 to 50 of .*nearest are 0, 10"):
        run[0:51][100]
    with pytest.raises(KeyError, match="there are no snapshots"):
        _ = run[1:5].last


# --- where a setting is ---------------------------------------------------------------------------------


def test_a_setting_asked_of_the_whole_config_is_found_in_its_part(run, importing):
    import copy
    from dataclasses import fields, is_dataclass

    config = run.config
    for part in fields(config):
        if not is_dataclass(part.type):
            continue
        for field in fields(getattr(config, part.name)):
            if field.name == "split_seed":  # the seed in use is a property of the whole
                continue
            with pytest.raises(AttributeError, match=f"'{field.name}'; use .*config.{part.name}.{field.name}"):
                getattr(config, field.name)
    with pytest.raises(AttributeError, match=r"RunConfig has no 'op'; use config\.task\.op$"):
        _ = config.op  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"use config\.task\.label or config\.optim\.label$"):
        _ = config.label  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"has no 'nothing'$"):
        _ = config.nothing  # type: ignore[attr-defined]
    imported = importing("nanda.pth", "nanda", "--op", "add").config
    with pytest.raises(AttributeError, match=r"ImportedConfig has no 'lr'; use config\.optim\.lr$"):
        _ = imported.lr  # type: ignore[attr-defined]
    assert copy.deepcopy(config) == pickle.loads(pickle.dumps(config)) == config
    assert not hasattr(config, "__wrapped__") and config.seed == 0


# --- pickling -------------------------------------------------------------------------------------------


def test_a_pickled_run_is_opened_again_with_its_restrictions(run, tmp_path, monkeypatch):
    from interp.runs.run import Run

    part = Run(run.store, without=[100], key_freqs=[5, 3])[0:5000]
    data = pickle.dumps(part)
    assert len(data) < 1000  # no weights
    monkeypatch.chdir("/")
    copy = pickle.loads(data)
    assert copy.steps == part.steps == [0, 10, 1000] and copy.given_key_freqs == (5, 3)
    assert copy.path == part.path and repr(copy) == repr(part)
    snap = pickle.loads(pickle.dumps(part[10]))
    assert (snap.step, snap.run.steps) == (10, part.steps)
    assert snap.loss("test") == part[10].loss("test")


def test_a_relative_path_is_found_from_elsewhere(run, monkeypatch, tmp_path):
    from interp.runs.finding import open_run

    monkeypatch.chdir(run.path.parent)
    data = pickle.dumps(open_run(run.path.name))
    monkeypatch.chdir("/")
    assert pickle.loads(data).steps == STEPS


def test_unpickling_verifies_the_files(own_run):
    from train.errors import DataError, UsageError

    data, home = pickle.dumps(own_run), own_run.path / "run.json"
    text = home.read_text()
    home.write_text(text.replace('"seed":', '"seed" :', 1).replace("0", "1", 1))
    with pytest.raises(DataError):
        pickle.loads(data)
    home.unlink()
    with pytest.raises(UsageError, match="is not a run"):
        pickle.loads(data)
    home.write_text(text)
    assert pickle.loads(data).steps == STEPS  # control


def test_unpickling_refuses_another_run_in_the_same_place(own_run, tmp_path):
    from train.errors import DataError

    data, run_id = pickle.dumps(own_run), own_run.store.run_id
    other = handmade_run(tmp_path / "other", p=29, keys=(2,))
    own_run.path.rename(tmp_path / "away")
    other.rename(own_run.path)
    with pytest.raises(DataError, match=f"held the run {run_id} .* now it holds add-p29"):
        pickle.loads(data)


# --- cards ----------------------------------------------------------------------------------------------


class Seen(HTMLParser):
    """A parser that collects the tags and text of HTML as a browser sees them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data + "\n"


def test_cards_are_short_and_say_what_matters(run):
    card, snap = Seen(run._repr_html_()), Seen(run[100]._repr_html_())
    for words in (run.name, "5 snapshots to step 10,000", "op add", "p 23", "step 10,000: train loss", "accuracy"):
        assert words in card.text
    assert "step 100" in snap.text and "test loss" in snap.text
    assert len(run._repr_html_()) < 2000
    assert card.tags == snap.tags == {"div", "strong", "table", "tr", "th", "td"}


def test_key_frequencies_have_a_card(run):
    from interp.parts.keyfreqs import KeyFreqs, key_freqs

    card = Seen(key_freqs(run)._repr_html_())
    assert ", ".join(map(str, key_freqs(run).ks)) in card.text and "at step 10,000" in card.text
    assert "script" not in Seen(KeyFreqs((3,), HOSTILE)._repr_html_()).tags


def test_hostile_names_stay_text(own_run):
    from interp.html.cards import card
    from interp.runs.finding import open_run

    moved = own_run.path.rename(own_run.path.parent / HOSTILE.replace("/", "_"))
    hostile = open_run(moved)
    for html in (hostile._repr_html_(), hostile.last._repr_html_(), card(HOSTILE, {HOSTILE: HOSTILE})):
        seen = Seen(html)
        assert "script" not in seen.tags and HOSTILE in seen.text
    assert "script" in Seen(f"<b>{HOSTILE}</b>").tags  # control: unescaped, the parser sees the tag
    assert len(card("x", {"long": "y" * 10_000})) < 1000


def test_cards_of_runs_without_a_log_and_of_imports(importing):
    run = importing("nanda.pth", "nanda", "--op", "add")
    card = Seen(run._repr_html_())
    assert "not evaluated here" in card.text and "imported from\nnanda.pth" in card.text
    assert "op add, p 5" in card.text and "lr" not in card.text  # the file does not state the learning rate


# --- what is imported -----------------------------------------------------------------------------------


def test_reading_a_log_imports_no_transformer_lens(tiny_run, tmp_path):
    """A fresh process unpickles a run and reads everything but its models without importing transformer_lens."""
    from interp.runs.finding import open_run

    (tmp_path / "run.pickle").write_bytes(pickle.dumps(open_run(tiny_run)[0:100]))
    script = (
        "import pickle, sys\n"
        f"part = pickle.load(open({str(tmp_path / 'run.pickle')!r}, 'rb'))\n"
        "assert 0 < len(part) == len(part.steps) and part.last.step < 100\n"
        "from interp import open_run, Run, Snapshot\n"
        f"run = open_run({str(tiny_run)!r})\n"
        "run.log, run.evaluations, run.config, run.steps, run.origin, repr(run), run._repr_html_(), run.last\n"
        "run.last._repr_html_(), run.weights(run.steps[-1]), run[0:10], list(run), run.is_done, run.problems()\n"
        "heavy = {'transformer_lens', 'transformers', 'sklearn', 'umap', 'sympy', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "run.last.model\n"
        "assert 'transformer_lens' in sys.modules\n"  # control: the model needs it
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
