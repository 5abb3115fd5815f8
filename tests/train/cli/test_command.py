"""Features that all commands share: names, help, version, completion and colours."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from commanding import TINY

ROOT = Path(__file__).parents[3]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
AS_SCRIPT = """
import sys
sys.argv = [{path!r}, *{argv!r}]
from {module} import main
raise SystemExit(main())
"""


def script(name, *argv, **env):
    """A console script as installers write it."""
    code = AS_SCRIPT.format(path=f"/somewhere/bin/{name}", argv=list(argv), module=SCRIPTS[name].split(":")[0])
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=os.environ | env, timeout=60
    )


def main_of(name):
    return importlib.import_module(SCRIPTS[name].split(":")[0]).main


def test_every_command_has_a_script():
    """Every module that ends as a command has a console script, and every script such a module."""
    files = [*ROOT.glob("train/**/*.py"), *ROOT.glob("interp/**/*.py")]
    mains = [path for path in files if 'if __name__ == "__main__"' in path.read_text()]
    modules = {str(path.relative_to(ROOT).with_suffix("")).replace("/", ".") for path in mains}
    assert modules == {entry.split(":")[0] for entry in SCRIPTS.values()}


@pytest.mark.parametrize("name", SCRIPTS)
def test_version_of_every_command(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main_of(name)(["--version"])
    assert stop.value.code == 0
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("version", r"\d+\.\d+\.\d+")
    assert re.fullmatch(rf"groklens {version}\n", capsys.readouterr().out)


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in ("groklens-scaling",)])
def test_help_of_every_command(name, capsys):
    """Help shows no negation of a plain switch, and its groups are named by what they hold."""
    with pytest.raises(SystemExit):
        main_of(name)(["--help"])
    text = capsys.readouterr().out
    assert "--version" in text
    assert not re.search(r"--no-(list|quiet|json|dry|yes|verify|delete|keep|with)", text)
    groups = re.findall(r"^(?:╭─)? ((?:[a-z.]+ )?(?:options|arguments))[ ─╮]*$", text, flags=re.M)
    expected = {"options", "positional arguments", "task options", "model options", "optim options", "schedule options"}
    assert set(groups) <= expected and "options" in groups, groups
    if name == "groklens-train":
        assert expected - {"positional arguments"} == set(groups)
        assert "--no-shared-vocabulary" in text and "--no-orthogonal-gradient" in text  # presets turn these on


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("groklens-sweep", ["SPEC.toml"]),
        ("groklens-report", ["RUN"]),
        ("groklens-measures", ["RUN"]),
        ("groklens-import", ["FILE", "--layout NAME", "--out RUN"]),
    ],
)
def test_required_arguments_are_shown_as_required(name, arguments, capsys):
    with pytest.raises(SystemExit):
        main_of(name)(["--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for argument in arguments:
        groups = text.split("positional arguments", 1)[1]
        described = re.split(r" (?=--?\w)| ─+", groups.split(f" {argument} ", 1)[1])[0]
        assert "(required" in described, described


@pytest.mark.parametrize("flag", ["--no-quiet", "--no-list-presets"])
def test_a_negation_that_there_is_not_is_refused(flag, capsys):
    assert main_of("groklens-train")([flag]) == 2
    assert flag in capsys.readouterr().err


def test_a_script_goes_by_its_own_name():
    assert script("groklens-train", "--help").stdout.startswith("usage: groklens-train ")
    assert "(see groklens-train --help)" in script("groklens-train", "--stepz", "3").stderr
    assert script("groklens-runs", "--help").stdout.startswith("usage: groklens-runs ")
    module = subprocess.run(
        [sys.executable, "-m", "train.run", "--stepz", "3"], capture_output=True, text=True, cwd=ROOT
    )
    assert "(see python -m train.run --help)" in module.stderr


COMPLETE = """
source {file}
complete -p groklens-train
COMP_WORDS=(groklens-train {word}); COMP_CWORD=1; COMP_LINE="groklens-train {word}"; COMP_POINT=${{#COMP_LINE}}
function=$(complete -p groklens-train | sed -E 's/.*-F ([^ ]+) .*/\\1/')
$function groklens-train {word} groklens-train
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def test_completion_completes_the_script_s_name(tmp_path):
    done = script("groklens-train", "--tyro-print-completion", "bash")
    assert done.returncode == 0, done.stderr
    (tmp_path / "complete").write_text(done.stdout)
    code = COMPLETE.format(file=tmp_path / "complete", word="--weight-d")
    shell = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60)
    first, *replies = shell.stdout.splitlines()
    assert first.endswith(" groklens-train"), shell.stderr
    assert [reply.strip() for reply in replies] == ["--weight-decay"]


def test_completion_of_a_module_is_refused(capsys):
    assert main_of("groklens-train")(["--tyro-print-completion", "bash"]) == 2
    assert "only a console script can be completed" in capsys.readouterr().err


pty = pytest.importorskip("pty")


def on_terminal(*argv, **env):
    """The output of a command on a terminal."""
    master, slave = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm-256color"} | env
    process = subprocess.Popen(
        [sys.executable, "-m", *argv], stdout=slave, stderr=slave, stdin=slave, cwd=ROOT, env=env
    )
    os.close(slave)
    text = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        text += piece
    os.close(master)
    assert process.wait(60) == 0, text
    return text.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*m")
HUE = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-8]|9[0-7])(?:;[0-9]+)*m")


def test_help_has_no_colour_where_none_is_wanted():
    assert not COLOUR.search(on_terminal("train.run", "--help", NO_COLOR="1"))
    assert COLOUR.search(on_terminal("train.run", "--help"))  # control


def test_progress_has_no_colour_where_none_is_wanted(tmp_path):
    argv = ("train.run", *TINY, "--out", str(tmp_path))
    assert HUE.search(on_terminal(*argv, "--seed", "1"))  # control
    assert not HUE.search(on_terminal(*argv, NO_COLOR="1"))
