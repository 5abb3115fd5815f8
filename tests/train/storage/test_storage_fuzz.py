"""Any bytes and any JSON in any file of a run: every reader succeeds or ends in one of our errors."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mutations import DEEP, reseal
from tiny_states import laid_out, tree_of

pytestmark = pytest.mark.usefixtures("one_thread")
KEEN = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS = st.integers() | st.floats() | st.booleans() | st.none()
VALUES = st.recursive(
    NUMBERS | st.text(max_size=8),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3),
)
DOCUMENTS = ("run.json", "manifest.json", "DONE", "log.jsonl")
TENSORS = ("steps/00000000.safetensors", "resume.safetensors", "split.safetensors")


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_states):
    """A finished run with a split, so that every reader has a file to read, and the run's intact files."""
    import torch

    from train.storage.store import RunStore

    folder = tmp_path_factory.mktemp("fuzz")
    case = next(case for case in tiny_states if case.name == "done")
    path = laid_out(folder / "run", case, case.tree)
    RunStore(path).save_split(torch.arange(9) % 2 == 0)
    return path, tree_of(path)


def read_all(path: Path) -> int:
    """Call every reader separately; returns how many of them ended in one of our errors."""
    from interp.runs.run import Run
    from train.errors import DataError, UsageError
    from train.storage.store import RunStore

    readers = (
        *(lambda s: RunStore.open(s.path), lambda s: s.doubt, lambda s: s.manifest, lambda s: s.load_snapshot(0)),
        *(lambda s: s.load_resume(), lambda s: s.read_log(), lambda s: s.done_step, lambda s: s.load_split()),
        *(lambda s: Run(s).is_done, lambda s: Run(s).origin),
    )
    refused = 0
    for reader in readers:
        try:
            reader(RunStore(path))
        except (DataError, UsageError) as error:
            refused += 1
            assert len(str(error)) < 3000
    return refused


def check(run, name: str, data: bytes) -> int:
    path, tree = run
    (path / name).write_bytes(data)
    try:
        return read_all(path)
    finally:
        (path / name).write_bytes(tree[name])


@pytest.mark.parametrize("name", [*DOCUMENTS, *TENSORS])
@KEEN
@given(data=st.binary(max_size=200))
@example(data=DEEP)
@example(data=b"\xff\xfe{\x00}\x00")
@example(data=b"")
def test_any_bytes(run, name, data):
    assert check(run, name, data) >= (0 if name == "resume.safetensors" else 1)


def test_control_what_is_whole_is_read(run):
    path, tree = run
    assert read_all(path) == 0
    assert check(run, "DONE", tree["DONE"]) == 0


@pytest.mark.parametrize("name", DOCUMENTS)
@KEEN
@given(value=VALUES, is_sealed=st.booleans())
def test_any_json(run, name, value, is_sealed):
    data = json.dumps(value).encode()
    check(run, name, reseal(data) if is_sealed and isinstance(value, dict) else data + b"\n")


@pytest.mark.parametrize("name", DOCUMENTS[:3])
@KEEN
@given(data=st.data())
def test_any_json_in_any_place_of_a_sealed_file(run, name, data):
    document = json.loads(run[1][name])
    document.pop("sha256", None)
    inside, keys = document, []
    while isinstance(inside, dict | list) and inside and (not keys or data.draw(st.booleans())):
        keys.append(data.draw(st.sampled_from(list(inside) if isinstance(inside, dict) else range(len(inside)))))
        parent, inside = inside, inside[keys[-1]]
    parent[keys[-1]] = data.draw(VALUES)
    check(run, name, reseal(json.dumps(document).encode()))


@pytest.mark.parametrize("name", TENSORS)
@KEEN
@given(value=VALUES, in_metadata=st.booleans())
def test_any_header(run, name, value, in_metadata):
    header = {"__metadata__": {"groklens": json.dumps(value)}} if in_metadata else value
    text = json.dumps(header).encode()
    check(run, name, len(text).to_bytes(8, "little") + text)


@KEEN
@given(data=st.binary(max_size=100))
def test_strict_json_is_json(data):
    """The strict reader reads the values that the library reads, and accepts nothing that the library refuses."""
    from train.errors import DataError
    from train.storage.json_files import parse_json

    try:
        found = parse_json(data, "file", 100)
    except DataError:
        return
    assert found == json.loads(data)
