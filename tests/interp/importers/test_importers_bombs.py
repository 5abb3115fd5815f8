"""Files that would exhaust time or memory: refused at once, in one line, with status 3 and nothing written.

One process without the tests' type checks runs the command on all files, and reports what each took beyond start-up.
"""

import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from oracles import foreign

NANDA = foreign.nanda(1)
SCRIPT = """
import contextlib, io, json, sys, time
from pathlib import Path
import interp.importers.check, interp.importers.losses, train.storage.imported
from interp.importers.layouts import LAYOUTS, reader
readers = [reader(layout) for layout in LAYOUTS]  # PyTorch's own memory is no file's
from interp.importers.__main__ import main
def status(name):
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if name in line)
found = {}
for name, flags in json.loads(Path(sys.argv[1]).read_text()).items():
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, started = status("VmRSS"), time.process_time()
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main([name, "--out", "run", *flags])
    found[name] = [code, said.getvalue(), time.process_time() - started, status("VmHWM") - before]
print(json.dumps(found))
"""
FLAGS = ["--layout", "nanda", "--op", "add"]


def with_weight(value):
    return {**NANDA, "embed.W_E": value}


def saved(content, **how):
    return lambda path: torch.save(content, path, **how)


def deflated(path):
    """A storage of 1 GB of zeros, deflated to 1 MB."""
    torch.save(with_weight(torch.zeros(1)), path)
    with zipfile.ZipFile(path) as source:
        parts = {info.filename: source.read(info) for info in source.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            if name.endswith("/data/0"):
                with archive.open(name, "w") as entry:
                    for _ in range(64):
                        entry.write(bytes(2**24))
            else:
                archive.writestr(name, content)


def million_tensors(path):
    """A file of a million names, each with an empty tensor of one storage."""
    start = b"".join(
        [
            b"\x80\x02}ctorch._utils\n_rebuild_tensor_v2\nq\x00ctorch\nFloatStorage\nq\x01",
            b"00(X\x07\x00\x00\x00storageh\x01X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x00tQq\x020(",
        ]
    )
    each = b"".join(b"X\x06\x00\x00\x00%06dh\x00(h\x02K\x00K\x00\x85K\x01\x85\x89)tR" % i for i in range(1_000_000))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", start + each + b"u.")
        archive.writestr("m/data/0", b"")


def million_entries(path):
    """An archive whose directory has a million entries."""
    one = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"x"
    directory = one * 1_000_000
    wide = b"PK\x06\x06" + bytes(28) + struct.pack("<QQQ", 1_000_000, len(directory), 4)
    where = b"PK\x06\x07" + bytes(4) + struct.pack("<QI", 4 + len(directory), 1)
    end = b"PK\x05\x06" + bytes(4) + b"\xff\xff\xff\xff" + b"\xff" * 8 + bytes(2)
    path.write_bytes(b"PK\x03\x04" + directory + wide + where + end)


def stored_elsewhere(path):
    """An archive of 1 kB whose directory claims a storage of 1 GB."""
    torch.save(NANDA, path)
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    struct.pack_into("<II", data, at + 20, 2**30, 2**30)
    path.write_bytes(data)


def hollow(size):
    """A writer of a sparse file of ``size`` zero bytes, which takes no space on the disk."""

    def write(path):
        path.touch()
        os.truncate(path, size)

    return write


def header(text, rest=b""):
    def write(path):
        path.write_bytes(struct.pack("<Q", len(text)) + text + rest)

    return write


def entry(dtype, shape, start, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


MANY = {f"{i:06d}": entry("F32", [0], 0, 0) for i in range(1_000_000)}
F8 = {"embed.W_E": entry("F8_E4M3", [4, 6], 0, 24)}
OVERLAP = {"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}
HUGE = {"a": entry("F32", [2**40], 0, 2**42)}
BOMBS = {
    "deflated.pt": (deflated, "is compressed"),
    "million_tensors.pt": (million_tensors, "it holds more than 120,000 objects"),
    "million_entries.pt": (million_entries, "1,000,000 entries"),
    "stored_elsewhere.pt": (stored_elsewhere, "longer than the file"),
    "expanded.pt": (saved(with_weight(torch.zeros(1).expand(2**30))), "an expanded view"),
    "expanded_twice.pt": (saved(with_weight(torch.zeros(4, 1).expand(4, 2**28))), "an expanded view"),
    "meta.pt": (saved(with_weight(torch.empty(2**40, device="meta"))), "a meta tensor"),
    "f8.pt": (saved(with_weight(torch.ones(4, 6).to(torch.float8_e4m3fn))), "float8_e4m3fn"),
    "complex.pt": (saved(with_weight(torch.ones(4, 6, dtype=torch.complex64))), "ComplexFloatStorage"),
    "sparse.pt": (saved(with_weight(torch.ones(4, 6).to_sparse())), "a sparse tensor"),
    "uint16.pt": (saved(with_weight(torch.ones(4, 6, dtype=torch.uint16))), "uint16"),
    "nan.pt": (saved(with_weight(torch.full((4, 6), torch.nan))), "not finite"),
    "old_cut.pt": (lambda path: path.write_bytes(old()[:-40]), "cut off"),
    "old_huge.pt": (lambda path: path.write_bytes(old_huge()), "cut off"),
    "rubbish.pt": (lambda path: path.write_bytes(os.urandom(2**20)), "damaged"),
    "zeros.pt": (hollow(2**33), "damaged"),
    "endless.pt": (hollow(2**40), "bytes"),
    "empty.pt": (lambda path: path.touch(), "0 bytes"),
    "zero.pt": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "fifo.pt": (lambda path: os.mkfifo(path), "not a regular file"),
    "folder.pt": (lambda path: path.mkdir(), "holds no"),
    "million.safetensors": (header(json.dumps(MANY).encode()), "its header has"),
    "f8.safetensors": (header(json.dumps(F8).encode(), bytes(24)), "embed.W_E"),
    "overlap.safetensors": (header(json.dumps(OVERLAP).encode(), bytes(12)), "not a readable safetensors"),
    "huge.safetensors": (header(json.dumps(HUGE).encode(), bytes(8)), "not a readable safetensors"),
    "absurd.safetensors": (lambda path: path.write_bytes(b"\xff" * 64), "its header has"),
    "deep.safetensors": (header(b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"), "not a readable safetensors"),
    "list.safetensors": (header(b"[1]"), "not a readable safetensors"),
    "deep_config.pt": (saved(NANDA), "is not JSON"),
    "long_config.pt": (saved(NANDA), "bytes; a config has at most"),
}


def old():
    import io

    buffer = io.BytesIO()
    torch.save(NANDA, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def old_huge():
    """A file in the old format that claims a storage of 2^30 numbers and holds none of them."""
    data = old()
    return data.replace(b"K\x18", b"J\x00\x00\x00\x40", 1) if b"K\x18" in data else data[:-40]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    for name, (write, _) in BOMBS.items():
        write(folder / name)
    (folder / "deep_config.json").write_text("[" * 20_000)
    (folder / "long_config.json").write_bytes(b'{"a": "' + bytes(5_000_000) + b'"}')
    (folder / "commands.txt").write_text(json.dumps(dict.fromkeys(BOMBS, FLAGS)))
    command = [sys.executable, "-c", SCRIPT, "commands.txt"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    assert done.returncode == 0, done.stderr
    assert not (folder / "run").exists() and not list(folder.glob(".*"))
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_in_a_line_at_once(outcomes, name):
    status, said, seconds, kilobytes = outcomes[name]
    assert status == 3 and len(said.splitlines()) == 1 and len(said) < 600, said
    assert BOMBS[name][1] in said
    assert seconds < 2 and kilobytes < 500_000


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"blocks.9999999.attn.W_Q": torch.ones(1, 1, 1)}, "not numbered from 0"),
        ({"embed.W_E": torch.ones(10**6, 0)}, "do not have the axes"),
        (
            {"blocks.0.mlp.W_in": torch.ones(1, 10**6), "blocks.0.attn.W_Q": torch.ones(1, 10**6, 1)},
            "with the other tensors it must be",
        ),
    ],
)
def test_sizes_are_compared_before_a_model_is_built(tmp_path, changes, says):
    from interp.transformerlens import from_transformer_lens
    from train.errors import UsageError

    weights = {**foreign.transformerlens(1, 6, 6), **changes}
    with pytest.raises(UsageError, match=says):
        from_transformer_lens(weights, normalization_type=None)
