"""Any bytes given to the importer's readers end in our own errors; a changed bit of weights never goes unnoticed."""

import io
import pickletools
import random
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import foreign

NAMES = ["nanda.pth", "transformerlens_demo_object.pth", "grok.pt"]
OPCODES = [op.code.encode("latin1") for op in pickletools.opcodes]
FEW = settings(max_examples=40, derandomize=True, deadline=None, database=None)


def read(data, name="m.pt"):
    """The reader's result for a file of these bytes, or our own error."""
    import tempfile
    from pathlib import Path

    from interp.importers.archives import read_file
    from train.errors import DataError

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            return read_file(path)
        except DataError as error:
            assert len(str(error)) < 600
            return error


@FEW
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x10\x00\x00\x00\x00\x00\x00\x00{"])
)
def test_any_bytes(data, start):
    for name in ("m.pt", "m.safetensors"):
        read(start + data, name)


@FEW
@given(st.lists(st.one_of(st.sampled_from(OPCODES), st.binary(max_size=4)), max_size=40))
def test_any_opcodes(parts):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("m/data.pkl", b"".join(parts) + b".")
    read(archive.getvalue())


@FEW
@given(st.sampled_from(NAMES), st.integers(0, 2**32), st.booleans(), st.integers(0, 3))
def test_any_change_of_a_file(name, seed, is_zip, kind):
    data = bytearray((foreign.HERE / name).read_bytes())
    if not is_zip:
        data = bytearray(old(name))
    draw = random.Random(seed)
    at = draw.randrange(len(data))
    if kind == 0:
        data[at] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at : at + draw.randrange(9)] = draw.randbytes(draw.randrange(9))
    else:
        del data[at : at + draw.randrange(100)]
    read(bytes(data))


def old(name):
    """A fixture in the file format before PyTorch 1.6."""
    buffer = io.BytesIO()
    content = torch.load(foreign.HERE / "nanda.pth" if "object" in name else foreign.HERE / name, weights_only=True)
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def test_a_changed_bit_of_weights_is_seen_where_pytorch_reads_on(tmp_path):
    from train.errors import DataError

    data = bytearray((foreign.HERE / "nanda.pth").read_bytes())
    W = foreign.nanda(1)["embed.W_E"].contiguous().numpy().tobytes()
    at = data.find(W)
    assert at > 0
    data[at + 5] ^= 1
    (tmp_path / "m.pt").write_bytes(data)
    assert torch.load(tmp_path / "m.pt", weights_only=True)  # the control
    found = read(bytes(data))
    assert isinstance(found, DataError) and "its checksum is not" in str(found)


@pytest.mark.parametrize("seed", range(3))
def test_changed_files_end_the_command_in_a_line(tmp_path, capsys, seed):
    from interp.importers.__main__ import main

    draw = random.Random(seed)
    data = bytearray((foreign.HERE / "nanda.pth").read_bytes())
    for i in range(10):
        changed = bytearray(data)
        for _ in range(3):
            changed[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / f"{i}.pt").write_bytes(changed)
        flags = ["--layout", "nanda", "--op", "add", "--out", str(tmp_path / f"run{i}")]
        status = main([str(tmp_path / f"{i}.pt"), *flags])
        said = capsys.readouterr().err
        assert status == 0 or status in (2, 3) and len(said.splitlines()) == 1, said
