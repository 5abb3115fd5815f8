"""Seeded damage to every kind of file of a run, and its outcome: ``python tests/mutations.py [--trials 10000]``.

A trial takes one of four tiny runs (done, stopped, killed, imported), changes one thing about one file (or swaps two),
reads the whole run, and resumes training. The damage is *detected* if one of our own errors or a line reports it,
*harmless* if everything that is read and the resumed run equal the undamaged ones, and *silent* otherwise, which is a
bug. JSON values are also replaced and the file's checksum recomputed (*resealed*): then only our own errors are
required, not equality.
"""

import dataclasses
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

if __name__ in ("__main__", "__mp_main__"):
    sys.path.insert(0, str(Path(__file__).parent.parent))

from tiny_states import FIRST, THIRD, Case, cases, config_of, laid_out, quick, reading, train_on

KINDS = ("run.json", "log.jsonl", "manifest.json", "snapshot", "resume", "resume.previous", "DONE", "LOCK", "split")
DEEP = b"[" * 20_000 + b"]" * 20_000
VALUES = (
    *(b"5", b"null", b"[]", b"{}", b'""', b"true", b"-1", b"0", b"1.5", b"1e400", b"NaN", b"-Infinity", DEEP),
    *(b'"a\\u0000b"', b'"\\ud800"', b'"../../x"', b'"/dev/zero"', b"9" * 5000, b"[[1]]", b'{"a": 1, "a": 2}', b"1e12"),
    *(b'"' + b"x" * 200_000 + b'"', b"2", b"1", b"10000", b"20000"),
)


# ---- mutations ---------------------------------------------------------------------------------------


def kind_of(name: str) -> str:
    if name.startswith("steps/"):
        return "snapshot"
    return name.removesuffix(".safetensors")


@dataclasses.dataclass
class Mutation:
    """A change of a run's directory, made by ``apply(path)``."""

    kind: str
    what: str
    apply: Callable[[Path], None]
    is_resealed: bool = False


def mutation(case: Case, rng: random.Random) -> Mutation:
    """Draw a mutation for a run: the kind of file first, so that each kind has its share."""
    by_kind: dict[str, list[str]] = {}
    for name in case.tree:
        by_kind.setdefault(kind_of(name), []).append(name)
    name = rng.choice(by_kind[rng.choice(sorted(by_kind))])
    ways: list[Callable[[], Mutation]] = [
        *3 * [lambda: _bytes(case, name, rng)],
        lambda: _files(case, name, rng),
        *2 * [lambda: _json(case, name, rng)] * (kind_of(name) != "LOCK"),
        *3 * [lambda: _lines(case, name, rng)] * (name == "log.jsonl"),
    ]
    return rng.choice(ways)()


def _put(kind: str, what: str, name: str, data: bytes, is_resealed: bool = False) -> Mutation:
    def write(path: Path) -> None:
        (path / name).write_bytes(data)

    return Mutation(kind, what, write, is_resealed)


def _bytes(case: Case, name: str, rng: random.Random) -> Mutation:
    data = bytearray(case.tree[name])
    at = rng.randrange(len(data)) if data else 0
    what = rng.choice(("flip", "set", "truncate", "extend", "insert", "cut out", "zeros", "empty"))
    if what == "flip" and data:
        data[at] ^= 1 << rng.randrange(8)
    elif what == "set" and data:
        data[at] = rng.choice((0, 0x20, 0x0A, 0x22, 0x30, 0x39, 0xFF, rng.randrange(256)))
    elif what == "truncate":
        del data[at:]
    elif what == "extend":
        data += rng.choice((b"\n", b"\0", b"}\n", rng.randbytes(rng.randrange(1, 100)), bytes(data[-50:]), bytes(4096)))
    elif what == "insert":
        data[at:at] = rng.choice((b" ", b"\n", b"0", rng.randbytes(3)))
    elif what == "cut out":
        del data[at : at + rng.randrange(1, 40)]
    elif what == "zeros":
        data[at : at + 64] = bytes(len(data[at : at + 64]))
    else:
        data.clear()
    return _put(kind_of(name), what, name, bytes(data))


def _files(case: Case, name: str, rng: random.Random) -> Mutation:
    kind, stale = kind_of(name), [old[name] for old in case.stale if name in old]
    what = rng.choice(("delete", "swap", "another run's", "stale", "link", "pipe", "folder", "copy"))
    if what == "swap":
        other = rng.choice([n for n in case.tree if n != name])

        def swap(path: Path) -> None:
            (path / name).rename(path / "waits")
            (path / other).rename(path / name)
            (path / "waits").rename(path / other)

        return Mutation(kind, f"swap with {kind_of(other)}", swap)
    if what == "another run's":
        return _put(kind, what, name, case.other.get(name, b""))
    if what == "stale" and stale:
        return _put(kind, what, name, rng.choice(stale))
    if what in ("copy", "stale"):
        return _put(kind, what, name, case.tree[rng.choice([n for n in case.tree if n != name])])

    def replace(path: Path) -> None:
        home = path / name
        if what == "link":
            outside = path.parent / f"{path.name}.outside"
            home.rename(outside)
            home.symlink_to(outside)
            return
        home.unlink()
        if what == "pipe":
            os.mkfifo(home)
        elif what == "folder":
            home.mkdir()

    return Mutation(kind, what, replace)


def _lines(case: Case, name: str, rng: random.Random) -> Mutation:
    lines = case.tree[name].splitlines(keepends=True)
    at, to = rng.randrange(max(len(lines), 1)), rng.randrange(max(len(lines), 1))
    what = rng.choice(
        ("line deleted", "line twice", "lines swapped", "line moved", "line of another log", "blank line")
    )
    others = [line for old in (*case.stale, case.other) for line in old.get(name, b"").splitlines(keepends=True)]
    if what == "line deleted":
        del lines[at : at + 1]
    elif what == "line twice":
        lines.insert(to, lines[at] if lines else b"\n")
    elif what == "lines swapped" and lines:
        lines[at], lines[to] = lines[to], lines[at]
    elif what == "line moved" and lines:
        lines.insert(to, lines.pop(at))
    elif what == "line of another log" and others and lines:
        lines[at] = rng.choice(others)
    else:
        lines.insert(at, b"\n")
    return _put(kind_of(name), what, name, b"".join(lines))


# ---- JSON values -------------------------------------------------------------------------------------

MARK = "\uffff the place \uffff"


def _json(case: Case, name: str, rng: random.Random) -> Mutation:
    is_resealed, value = rng.random() < 0.5, rng.choice(VALUES)
    what = f"{value[:12].decode()} in JSON{', resealed' * is_resealed}"
    data = case.tree[name]
    try:
        if name.endswith(".safetensors"):
            changed = _in_tensors(data, value, rng, is_resealed)
        elif name == "log.jsonl":
            changed = _in_log(data, value, rng, is_resealed, case)
        else:
            changed = _in_document(data, value, rng, is_resealed)
    except (RecursionError, ValueError):  # no seal can be made of it
        return _put(kind_of(name), "random bytes", name, rng.randbytes(50))
    return _put(kind_of(name), what, name, changed, is_resealed)


def replaced(document: Any, rng: random.Random) -> Any:
    """The JSON value with one of its values, at any depth, replaced by a mark, or one of its names changed."""
    places: list[tuple[Any, Any]] = [(None, None)]
    layer = [document]
    while layer:
        one = layer.pop()
        if isinstance(one, dict | list):
            keys = list(one) if isinstance(one, dict) else range(len(one))
            places += [(one, key) for key in keys]
            layer += [one[key] for key in keys]
    inside, key = rng.choice(places)
    if inside is None:
        return MARK
    inside[key] = MARK
    if isinstance(inside, dict) and rng.random() < 0.15:  # a name that is not there, or another
        del inside[key]
        inside[rng.choice(("", "x", "sha256", "step", "run"))] = MARK
    return document


def with_value(text: str, value: bytes) -> bytes:
    return text.encode().replace(json.dumps(MARK).encode(), value)


def reseal(data: bytes) -> bytes:
    """The document with the SHA-256 of its new content. Raises ValueError if it is not an object."""
    content = json.loads(data)
    if not isinstance(content, dict):
        raise ValueError("no object")
    content.pop("sha256", None)
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    seal = hashlib.sha256(canonical).hexdigest()
    return data[: data.rstrip().rindex(b"}")] + f', "sha256": "{seal}"}}'.encode()


def _in_document(data: bytes, value: bytes, rng: random.Random, is_resealed: bool) -> bytes:
    document = json.loads(data)
    if is_resealed:
        document.pop("sha256")
    changed = with_value(json.dumps(replaced(document, rng)), value)
    return reseal(changed) if is_resealed else changed


def _in_log(data: bytes, value: bytes, rng: random.Random, is_resealed: bool, case: Case) -> bytes:
    lines = data.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    if lines[at][-1:] != b"\n":
        return data + value
    row = json.loads(lines[at])
    row.pop("check")
    body = with_value(json.dumps(replaced(row, rng)), value)[:-1]
    before = case.config.run_id if case.config is not None else ""
    for i in range(at, len(lines)):  # the whole chain from there on
        if lines[i][-1:] != b"\n":
            break
        before = json.loads(lines[i - 1])["check"] if i else before
        body = body if i == at else lines[i].rpartition(b', "check": ')[0]
        check = hashlib.blake2b(before.encode() + body, digest_size=8).hexdigest()
        if not is_resealed:
            check = json.loads(lines[i])["check"]
        lines[i] = body + f', "check": "{check}"}}\n'.encode()
        if not is_resealed:
            break
    return b"".join(lines)


def _in_tensors(data: bytes, value: bytes, rng: random.Random, is_resealed: bool) -> bytes:
    """Damage the header of a safetensors file, or the JSON in its metadata."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    zeros = "0" * 64
    state = json.loads(header["__metadata__"]["groklens"])
    if is_resealed:
        state["sha256"] = zeros
    if rng.random() < 0.6:
        changed = with_value(json.dumps(replaced(state, rng)), value).decode()
        header["__metadata__"]["groklens"] = changed
        text = json.dumps(header).encode()
    else:
        header["__metadata__"]["groklens"] = json.dumps(state)
        text = with_value(json.dumps(replaced(header, rng)), value)
    whole = len(text).to_bytes(8, "little") + text + data[8 + length :]
    if not is_resealed:
        return whole
    return whole.replace(zeros.encode(), hashlib.sha256(whole).hexdigest().encode(), 1)


# ---- trials ------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Trial:
    """The outcome of a mutation: detected, harmless or silent, the message, and the CPU seconds of the trial."""

    case: str
    kind: str
    what: str
    is_resealed: bool
    outcome: str
    detail: str
    seconds: float


def trial(case: Case, change: Mutation, root: Path) -> Trial:
    """Apply a mutation to a copy of a run, read all of it, and train on."""
    from train.errors import DataError, UsageError

    path = laid_out(root, case, case.tree)
    change.apply(path)
    signs, faults, started = [], [], time.process_time()
    try:
        found = reading(path)
        differs = [name for name in case.read if found[name] != case.read[name]]
        if differs and set(differs) <= {"done", "is_done"} and found["done"] is None:
            signs.append("read as unfinished")
        elif differs == ["log"] and case.name == "killed" and _is_earlier_kill(found["log"], case.read["log"]):
            pass  # rows after the resume state that nothing vouches for: the run of a kill a little earlier
        elif differs:
            faults.append(f"read another {', '.join(differs)}")
    except (DataError, UsageError) as error:
        signs.append(f"read: {error}")
    except Exception as error:
        faults.append(f"read: {type(error).__name__}: {error}")
    if case.name != "imported":
        _train(case, path, signs, faults)
    if change.is_resealed:
        faults = [fault for fault in faults if "Error" in fault or "Exception" in fault]
    outcome = "silent" if faults else "detected" if signs else "harmless"
    about = (case.name, change.kind, change.what, change.is_resealed)
    return Trial(*about, outcome, "; ".join(faults or signs), time.process_time() - started)


def _train(case: Case, path: Path, signs: list[str], faults: list[str]) -> None:
    from train.errors import DataError, DivergedError, UsageError

    try:
        notes = train_on(path.parent, config_of(THIRD))
    except (DataError, UsageError, OSError) as error:  # the command shows each of these in a line
        signs.append(f"trained: {error}")
        return
    except Exception as error:
        if not isinstance(error, DivergedError):
            faults.append(f"trained: {type(error).__name__}: {error}")
        else:
            signs.append(f"trained: {error}")
        return
    signs += notes
    try:
        found = reading(path)
    except (DataError, UsageError) as error:
        signs.append(f"read after it: {error}")
        return
    except Exception as error:
        faults.append(f"read after it: {type(error).__name__}: {error}")
        return
    differs = [name for name in case.resumed if found[name] != case.resumed[name]]
    if differs and not notes:
        faults.append(f"trained to another {', '.join(differs)}")
    elif differs and not set(differs) <= {"info", "manifest", "weights"}:
        faults.append(f"trained to another {', '.join(differs)}, which it said nothing of")


def _is_earlier_kill(found: list[Any], whole: list[Any]) -> bool:
    return len(found) >= FIRST and found == whole[: len(found)]


def trials(seed: int, numbers: range, folder: Path, made: list[Case]) -> list[Trial]:
    """Run the trials with these numbers on the runs ``made`` in turn, with files in ``folder``."""
    done = []
    with quick():
        for i in numbers:
            case, root = made[i % len(made)], folder / "trial"
            done.append(trial(case, mutation(case, random.Random(f"{seed}/{i}")), root))
            shutil.rmtree(root)
    return done


def silent(done: list[Trial]) -> list[str]:
    """A line for each silent trial."""
    return [f"{t.case} {t.kind}: {t.what}: {t.detail[:300]}" for t in done if t.outcome == "silent"]


def table(done: list[Trial]) -> str:
    """Table of the trials by kind of file: detected, harmless, silent; resealed JSON counts separately."""
    lines = [f"{'kind of file':24}{'trials':>8}{'detected':>10}{'harmless':>10}{'silent':>8}"]
    for resealed in (False, True):
        for kind in (*KINDS, "all"):
            chosen = [t for t in done if t.is_resealed == resealed and kind in (t.kind, "all")]
            counts = Counter(t.outcome for t in chosen)
            name = f"{kind}{', resealed' * resealed}"
            columns = (len(chosen), counts["detected"], counts["harmless"], counts["silent"])
            lines.append(f"{name:24}{columns[0]:8}{columns[1]:10}{columns[2]:10}{columns[3]:8}")
    return "\n".join(lines)


def shard(seed: int, numbers: range, memory: Path | None) -> list[Trial]:
    """Run trials in a process of their own, with a directory of their own."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        with quick():
            made = cases(Path(folder) / "cases")
        return trials(seed, numbers, Path(folder), made)


def main(argv: list[str]) -> int:
    import argparse
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="where runs are made, best in memory")
    options = parser.parse_args(argv)
    started = time.perf_counter()
    size = -(-options.trials // (4 * options.workers))
    parts = [range(i, min(i + size, options.trials)) for i in range(0, options.trials, size)]
    with ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(shard, options.seed, part, options.folder) for part in parts]
        done = [one for job in jobs for one in job.result()]
    for line in silent(done):
        print(f"SILENT {line}")
    print(table(done))
    slowest = max(done, key=lambda t: t.seconds)
    print(f"{time.perf_counter() - started:.0f} s; the slowest took {slowest.seconds:.2f} s of CPU: {slowest.what}")
    return 1 if silent(done) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
