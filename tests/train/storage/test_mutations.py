"""Damage of every kind to every kind of file of a run is detected or harmless: see ``mutations``."""

import json
from collections import Counter

import pytest
from mutations import KINDS, Mutation, silent, table, trial, trials
from tiny_states import quick

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK, SLOW, SHARDS = 50, 1000, 10


@pytest.mark.parametrize("shard", range(4))
def test_no_mutation_is_silent(tmp_path, tiny_states, shard):
    done = trials(0, range(shard * QUICK, (shard + 1) * QUICK), tmp_path, tiny_states)
    assert silent(done) == []
    counts = Counter(one.outcome for one in done)
    assert len(done) == QUICK and counts["detected"] > 15 and counts["harmless"] > 3, table(done)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_mutation_of_ten_thousand_is_silent(tmp_path, tiny_states, shard):
    """None of the mutations that ``python tests/mutations.py`` makes and tabulates is silent."""
    done = trials(0, range(shard * SLOW, (shard + 1) * SLOW), tmp_path, tiny_states)
    print(table(done))
    assert silent(done) == []
    assert {one.kind for one in done} == set(KINDS)
    assert max(one.seconds for one in done) < 2  # of CPU


def test_control_a_reader_that_checks_nothing_is_caught(tmp_path, tiny_states, monkeypatch):
    """Without comparing seals (the control) the harness reports a changed session as silent."""
    from train.storage import documents

    case = next(case for case in tiny_states if case.name == "done")
    change = Mutation("run.json", "a digit", lambda path: replace(path / "run.json", b'"threads": 1', b'"threads": 3'))
    with quick():
        assert trial(case, change, tmp_path / "checked").outcome == "detected"
        real, seal = documents.digest, json.loads(case.tree["run.json"])["sha256"]
        monkeypatch.setattr(documents, "digest", lambda content: seal if "config" in content else real(content))
        assert trial(case, change, tmp_path / "unchecked").outcome == "silent"


def replace(path, old, new) -> None:
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
