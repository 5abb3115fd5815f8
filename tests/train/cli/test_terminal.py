"""Foreign text reaches a terminal escaped, whichever command prints it."""

import json
import re
import unicodedata
from importlib import import_module

import pytest

HOSTILE = "a\x1b[2J\x07\n\r\t\x9b31m\u202eb\u2066c\u2028d\u200fe\x7f\x00"
NEWLINES = "a\x1b[31m\u202e\nb"


def is_harmless(line: str) -> bool:
    return all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in line)


def test_every_character_that_a_terminal_obeys_is_written_out():
    from train.cli.terminal import printable

    assert printable(HOSTILE) == (r"a\x1b[2J\x07\n\r\t\x9b31m\u202eb\u2066c\u2028d\u200fe\x7f\x00")
    everything = "".join(map(chr, range(0x110000)))
    assert is_harmless(printable(everything))
    some = everything[:0x3000] + everything[0x3000::17] + "数🙂"
    kept = [c for c in some if printable(c) == c]
    assert len(kept) > 60_000 and {"a", " ", "é", "数", "≥", "🙂"} <= set(kept)
    assert printable("\U000e0001") == "\\U000e0001"


def test_lines_are_kept_apart(capsys):
    from train.cli.terminal import say, tell, tell_error

    say("one", HOSTILE)
    tell(HOSTILE)
    tell_error(f"{HOSTILE} {'x' * 10_000}")
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2 and len(err.splitlines()) == 2
    assert all(map(is_harmless, [*out.splitlines(), *err.splitlines()]))
    assert len(err.splitlines()[1]) < 5_000


BAD = {
    "train.run": [["--op", NEWLINES], ["--group", NEWLINES], ["--config", NEWLINES], [f"--{NEWLINES}"], [NEWLINES]],
    "train.sweep.__main__": [[NEWLINES], ["--shard", NEWLINES, "x.toml"], ["spec.toml"], ["--engine", NEWLINES]],
    "train.scaling.__main__": [[NEWLINES], ["narrow", "--form", NEWLINES]],
    "interp.report": [[NEWLINES], [NEWLINES, "--only", NEWLINES], ["hostile"], ["runs/" + NEWLINES]],
    "interp.measures.__main__": [[NEWLINES], [NEWLINES, "--only", NEWLINES], ["hostile"]],
    "interp.importers.__main__": [
        [NEWLINES, "--layout", NEWLINES, "--out", "x"],
        ["hostile", "--layout", "nanda", "--out", "x"],
    ],
    "interp.scaling.__main__": [[NEWLINES], ["compare", NEWLINES], ["compare", "simulation"]],
}
CASES = [(module, argv) for module, several in BAD.items() for argv in several]


@pytest.fixture
def hostile_folder(tmp_path, monkeypatch):
    """Files with hostile names and contents."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text('[arms."\\u001b[31m\\u202e"]\nlr = -1')
    for name in ("hostile", "simulation", f"runs/{NEWLINES}"):
        (tmp_path / name).mkdir(parents=True)
    about = {"format": HOSTILE, "config": {HOSTILE: HOSTILE}, "sessions": []}
    (tmp_path / "hostile/run.json").write_text(json.dumps(about))
    (tmp_path / "simulation/run.json").write_text(json.dumps(about | {"format": "scaling 1"}))


@pytest.mark.parametrize(("module", "argv"), CASES, ids=[f"{module} {i}" for i, (module, _) in enumerate(CASES)])
def test_errors_of_every_command_are_one_harmless_line(hostile_folder, capsys, module, argv):
    status = import_module(module).main(argv)
    out, err = capsys.readouterr()
    assert status in (2, 3) and out == ""
    assert re.fullmatch(r"error: .*\n", err), err
    assert is_harmless(err.removesuffix("\n"))


def test_a_dry_run_says_names_of_arms_harmlessly(hostile_folder, tmp_path, capsys):
    from train.sweep.__main__ import main

    tiny = "p = 5\nd_model = 8\nn_heads = 2\nsteps = 1\n"
    (tmp_path / "spec.toml").write_text(f'[base]\n{tiny}[arms."\\u001b[31m\\n\\u202e"]\nlr = 0.1')
    assert main(["spec.toml", "--dry-run", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert r"\x1b[31m\n\u202e" in out and len(out.splitlines()) == 1
    assert is_harmless(out.removesuffix("\n"))


def test_a_traceback_of_ours_is_harmless(capsys):
    from train.cli.command import run_command

    def body():
        raise RuntimeError(HOSTILE)

    assert run_command(body) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback") and "RuntimeError: a\\x1b[2J" in " ".join(lines)
    assert all(map(is_harmless, lines))
