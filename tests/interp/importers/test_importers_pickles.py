"""Hostile and harmless pickles beside weights: none is executed, and no harmless one makes a file unreadable."""

import argparse
import collections
import dataclasses
import datetime
import enum
import functools
import os
import pathlib
import pickle
import struct
import types
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from oracles import foreign
from oracles.foreign_cases import ADD

from tests.interp.importers.victims import touched

NANDA = foreign.nanda(1)


@pytest.fixture
def read(tmp_path):
    """``read(data)``: the object that the reader makes of a pickle without storages."""
    from interp.importers.pickled import load

    def no_storage(told):
        raise AssertionError(told)

    return lambda data: load(data, 0, no_storage)[0]


# ---- hostile ---------------------------------------------------------------------------------------


def raw(*parts: Any) -> bytes:
    return b"".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)


WHERE = "tests.interp.importers.victims"
CALL, ARG = raw("c", WHERE, "\ntouch\n"), raw(b"X", struct.pack("<I", 1), b"x")
KIND = raw("c", WHERE, "\nVictim\n")
HOSTILE = {
    "reduce": raw(CALL, ARG, b"\x85R."),
    "reduce of os.system": raw(b"cposix\nsystem\n(S'touch it'\ntR."),
    "builtins eval": raw(b"cbuiltins\neval\n(V1/0\ntR."),
    "inst": raw("(", ARG, "i", WHERE, "\ntouch\n."),
    "obj": raw("(", CALL, ARG, "o."),
    "newobj": raw(b"\x80\x02", KIND, ARG, b"\x85\x81."),
    "newobj_ex": raw(b"\x80\x04", KIND, b")}", b"\x92."),
    "build with __setstate__": raw(KIND, b")\x81}", ARG, b"K\x01sb."),
    "build on a class": raw(KIND, b"N}", ARG, b"K\x01s\x86b."),
    "stack_global": raw(b"\x8c", bytes([len(WHERE)]), WHERE, b"\x8c\x05touch\x93", ARG, b"\x85R."),
    "dotted name": raw(b"\x8c", bytes([len(WHERE)]), WHERE, b"\x8c\x0fVictim.__init__\x93", ARG, b"\x85R."),
    "getattr": raw(b"cbuiltins\ngetattr\n(", KIND, b"V__class__\ntR."),
    "maker called badly": raw(b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02tR."),
    "record called": raw(KIND, b")R)R."),
    "maker of makers": raw(b"ctorch._tensor\n_rebuild_from_type_v2\n(", CALL, KIND, ARG, b"\x85}tR."),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_of_a_pickle_runs(read, case, tmp_path, monkeypatch):
    from train.errors import DataError

    monkeypatch.chdir(tmp_path)
    touched.clear()
    try:
        read(HOSTILE[case])
    except DataError:
        assert case == "maker called badly"
    assert touched == [] and list(tmp_path.iterdir()) == []


def test_control_pythons_own_reader_runs_them(tmp_path):
    for case in ("reduce", "inst", "obj", "newobj", "newobj_ex", "build with __setstate__", "stack_global"):
        touched.clear()
        pickle.loads(HOSTILE[case])
        assert touched, case


def test_extensions_and_persistent_ids_are_not_followed(read, tmp_path):
    import copyreg

    from train.errors import DataError

    copyreg.add_extension(WHERE, "touch", 0xF0)
    try:
        touched.clear()
        read(raw(b"\x80\x02\x82\xf0", ARG, b"\x85R."))
        assert touched == []
    finally:
        copyreg.remove_extension(WHERE, "touch", 0xF0)
    from interp.importers.archives import read_file

    for told in (raw(b"Pposix.system\n."), raw(CALL, b"Q."), raw(b"(Vstorage\nVx\nV0\nVcpu\nK\x01tQ.")):
        with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
            archive.writestr("m/data.pkl", told)
        with pytest.raises(DataError, match="refers to something outside"):
            read_file(tmp_path / "model.pt")


class Evil:
    """An object whose pickle runs a function in any reader that looks up classes."""

    def __reduce__(self):
        return touch_file, ("evil",)


def touch_file(name):
    pathlib.Path(name).touch()


@pytest.mark.parametrize("protocol", range(1, 6))  # 0 cannot name storages: PyTorch reads no such file
@pytest.mark.parametrize("is_zip", [True, False])
def test_a_hostile_object_beside_weights_is_left_alone(importing, tmp_path, monkeypatch, protocol, is_zip):
    """No hostile pickle is executed, in either format of torch.save or as bytes within a pickle."""
    monkeypatch.chdir(tmp_path)
    content = {"model": NANDA, "epoch": 4999, "extra": Evil(), "nested": pickle.dumps(Evil()), "kind": Evil}
    torch.save(content, "evil.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    run = importing(tmp_path / "evil.pth", "nanda", *ADD)
    assert run.steps == [5000] and torch.equal(run.weights(5000)["embed.W_E"], NANDA["embed.W_E"].T)
    assert not (tmp_path / "evil").exists()


# ---- bombs -----------------------------------------------------------------------------------------


def twice(op: bytes, n: int = 64) -> bytes:
    """A tower of n containers, each holding the one below it twice."""
    return b")" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + op for i in range(n))


BOMBS = {
    "memo": raw(b"Nr", struct.pack("<I", 2**32 - 1), b"."),
    "bytearray": raw(b"\x96", struct.pack("<Q", 2**62), b"."),
    "bytes": raw(b"\x8e", struct.pack("<Q", 2**40), b"."),
    "frame": raw(b"\x80\x04\x95", struct.pack("<Q", 2**60), b"N."),
    "long": raw(b"\x8b", struct.pack("<i", 2**31 - 1), b"."),
    "digits": raw(b"L", b"9" * 1_000_000, b"L\n."),
    "copies": raw(b"](", b"N" * 100_000, b"eq\x00", b"cbuiltins\nset\nq\x01", b"h\x01h\x00\x85R0" * 10_000, b"h\x00."),
    "steps": b"N0" * 100_000 + b"N.",
    "marks": b"(" * 100_000 + b".",
    "a key of a tower": raw(b"}", twice(b"\x86"), b"Ns."),
    "a set of a tower": raw(b"\x8f(", twice(b"\x86"), b"\x90."),
    "a tower shown": raw(b"}", twice(b"\x86"), b"h\x01s."),
}


@pytest.mark.parametrize("case", BOMBS)
def test_bombs_take_neither_time_nor_memory(read, case, monkeypatch):
    import time

    from train.errors import DataError

    monkeypatch.setattr("interp.importers.pickled.MAX_OPCODES", 150_000)  # type checks make a step slow under test
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, started = kilobytes("VmRSS"), time.process_time()
    try:
        made = read(BOMBS[case])
        assert case in ("memo", "frame", "a key of a tower", "a set of a tower", "a tower shown")
        from interp.importers.names import short

        assert len(short(made)) < 2000
    except DataError as error:
        assert len(str(error)) < 300
    assert time.process_time() - started < 4  # twice the two seconds, for slow machines
    assert kilobytes("VmHWM") - before < 500_000


def kilobytes(what: str) -> int:
    """Memory of this process in kB, a field of Linux's /proc/self/status."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if what in line)


# ---- harmless --------------------------------------------------------------------------------------


@dataclasses.dataclass
class Settings:
    """A user's settings object, such as checkpoints hold beside the weights."""

    lr: float = 1e-3
    names: tuple[str, ...] = ("a", "b")
    inner: Any = None


class Colour(enum.Enum):
    RED = 1


class Slots:
    __slots__ = ("x",)

    def __init__(self):
        self.x = 3


class Listed(list):
    note = ""


class Mapped(dict):
    pass


class Numbered(int):
    pass


Point = collections.namedtuple("Point", "x y")


def harmless() -> dict[str, Any]:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    base = torch.ones(2)
    listed, mapped, defaults = Listed([1, 2]), Mapped(a=1), collections.defaultdict(list, a=[1])
    listed.note = "x"
    return {
        "array": np.arange(6.0).reshape(2, 3),
        "strings": np.array(["a", "b"]),
        "objects": np.array([{"a": 1}, None], dtype=object),
        "scalars": [np.float32(1.5), np.int64(3), np.bool_(True), np.complex64(1j)],
        "dtype": np.dtype("float64"),
        "random": [np.random.default_rng(0), np.random.RandomState(0).get_state(), np.random.PCG64(1)],  # noqa: NPY002
        "torch random": [torch.get_rng_state(), torch.Generator().get_state(), __import__("random").getstate()],
        "paths": [pathlib.PurePosixPath("a/b"), pathlib.Path("c")],
        "times": [datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC), datetime.timedelta(1), datetime.date(2024, 1, 1)],
        "containers": [collections.OrderedDict(a=1), defaults, collections.Counter("aab"), collections.deque([1], 3)],
        "sets": [{1, 2}, frozenset("ab"), {(1, 2): 3, 4.5: None, b"k": 1, None: 2, True: 3}],
        "classes": [Settings(inner=Settings()), Colour.RED, Slots(), listed, mapped, Numbered(5), Point(1, 2), Whole],
        "namespaces": [argparse.Namespace(lr=1), types.SimpleNamespace(a=[1])],
        "functions": [functools.partial(print, 1), len, os.path.join, torch.nn.functional.relu, harmless],
        "torch": [torch.float16, torch.device("cpu"), torch.Size([1, 2]), torch.strided, torch.nn.Parameter(base)],
        "numbers": [10**40, -1, 1.5, complex(1, 2), range(3), slice(1, 2), b"bytes", bytearray(b"xy"), ..., 1 << 4000],
        "states": [optimizer.state_dict(), scheduler.state_dict(), torch.amp.GradScaler(enabled=False).state_dict()],
        "optimizer itself": optimizer,
        "modules": [model, torch.nn.LayerNorm(3)],
        "loss": torch.nn.CrossEntropyLoss(),
        "tensors": [
            torch.ones(2, 2).to_sparse(), torch.ones(2, device="meta"), torch.ones(2, dtype=torch.complex64),
            torch.ones(2).to(torch.float8_e4m3fn), torch.ones(1).expand(5), torch.tensor(3), torch.empty(0),
            torch.ones(3, dtype=torch.uint16), torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        ],
        "text": ["ü\n\x00", "\ud800", "long" * 10_000],
    }  # fmt: skip


@pytest.mark.parametrize("protocol", range(1, 6))  # 0 cannot name storages: PyTorch reads no such file
@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_harmless_things_never_make_a_file_damaged(importing, tmp_path, protocol, is_zip):
    content = {"model": NANDA, "epoch": 4999, **harmless()}
    if protocol < 2:
        del content["classes"][2], content["modules"][:], content["optimizer itself"], content["loss"]
    if not is_zip:  # the old format has no storages of these
        del content["tensors"]
    torch.save(content, tmp_path / "m.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    run = importing(tmp_path / "m.pth", "nanda", *ADD)
    assert run.steps == [5000] and torch.equal(run.weights(5000)["embed.W_E"], NANDA["embed.W_E"].T)


@pytest.mark.filterwarnings("ignore")
def test_each_of_them_stands_alone(tmp_path):
    from interp.importers.archives import read_file

    for name, thing in harmless().items():
        torch.save({"model": NANDA, name: thing}, tmp_path / "m.pth")
        assert set(read_file(tmp_path / "m.pth")) == {"model", name}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_those_of_pythons_own_reader(read, protocol):
    value = {
        "a": [1, -1, 255, 256, 65_536, 2**31, -(2**40), 2**200, 0.1, -0.0, True, False, None],
        "b": ("x", "ü\n", "\\x41", b"\x00\xff", ("a",), (), (1, 2), (1, 2, 3), (1, 2, 3, 4), [[], {}]),
        "long": "y" * 70_000,
        3: {1.5: {"deep": [[[1]]]}, (1, "a"): 2},
    }
    value["again"] = value["a"]
    assert read(pickle.dumps(value, protocol)) == value


def test_tensors_are_those_of_pytorchs_own_reader(tmp_path):
    from interp.importers.archives import read_file

    base = torch.arange(24.0).view(2, 3, 4)
    tensors = {
        "whole": base,
        "views": [base[1], base.transpose(0, 2), base[:, ::2, 1:], base[0, 0, 0]],
        "types": [
            torch.arange(4).to(t) for t in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)
        ],
        "parameter": torch.nn.Parameter(base[0].clone()),
        "empty": torch.empty(0, 3),
    }
    for is_zip in (True, False):
        torch.save(tensors, tmp_path / "t.pt", _use_new_zipfile_serialization=is_zip)
        found, expected = read_file(tmp_path / "t.pt"), torch.load(tmp_path / "t.pt", weights_only=True)
        for name, value in expected.items():
            ours = found[name] if isinstance(value, list) else [found[name]]
            for a, b in zip(ours, value if isinstance(value, list) else [value], strict=True):
                assert a.dtype == b.dtype and torch.equal(a, b), name
        assert found["views"][0].data_ptr() == found["whole"][1].data_ptr()  # they share their numbers still


# ---- configs and modules ---------------------------------------------------------------------------


def test_the_demos_config_object_is_read(importing):
    """The config object of a checkpoint in the Grokking_Demo's form is read; see tests/oracles/demo.py."""
    run = importing("transformerlens_demo_object.pth", "transformerlens", *ADD)
    assert run.steps == [100, 200, 300]
    assert run.config.model.act_fn == "relu" and run.config.model.norm == "none"
    assert run.config.task.p == 11 and int(run.task.is_train.sum()) == 36
    order = torch.randperm(121, generator=torch.Generator().manual_seed(598))
    assert run.task.is_train.nonzero().flatten().tolist() == sorted(order[:36].tolist())
    assert any("identical at all 3 steps" in note for note in run.origin.notes)
    assert len(run.log) == 300 and run.log["step"].tolist() == list(range(300))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda told: types.SimpleNamespace(**told),
        lambda told: argparse.Namespace(**told),
        lambda told: Settings(inner=None, names=()) if told is None else told,
        lambda told: collections.OrderedDict(told),
    ],
)
def test_configs_of_any_class_are_read(importing, tmp_path, wrap):
    told = {"act_fn": "gelu_new", "normalization_type": None, "attention_dir": "bidirectional"}
    torch.save({"model": foreign.transformerlens(1, 6, 5), "cfg": wrap(told)}, tmp_path / "m.pt")
    model = importing(tmp_path / "m.pt", "transformerlens", *ADD).config.model
    assert (model.act_fn, model.norm, model.attention) == ("gelu_new", "none", "bidirectional")


class Whole(torch.nn.Module):
    """A model with Nanda's names and its config, pickled as an object."""

    def __init__(self, weights):
        super().__init__()
        self.config = {"fn_name": "add"}
        for name, tensor in weights.items():
            at: Any = name.split(".")
            module: Any = self
            for part in at[:-1]:
                if part not in module._modules:
                    module.add_module(part, torch.nn.Module())
                module = module._modules[part]
            module.register_parameter(at[-1], torch.nn.Parameter(tensor))


@pytest.mark.parametrize("is_inside", [True, False])
def test_parameters_of_a_whole_module_are_read_without_its_class(importing, tmp_path, is_inside):
    module = Whole({name: t for name, t in NANDA.items() if not name.endswith("mask")})
    torch.save({"model": module, "epoch": 9} if is_inside else module, tmp_path / "m.pt")
    run = importing(tmp_path / "m.pt", "nanda")
    assert torch.equal(run.last.model.W_E, importing("nanda.pth", "nanda", *ADD, out="b").last.model.W_E)
    assert run.steps == [10 if is_inside else 0] and run.config.task.op == "add"


def test_control_a_module_of_another_kind_is_told_apart(tmp_path, capsys):
    from interp.importers.__main__ import main

    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pt")
    assert main([str(tmp_path / "m.pt"), "--layout", "nanda", *ADD, "--out", str(tmp_path / "run")]) == 3
    assert "is missing" in capsys.readouterr().err
