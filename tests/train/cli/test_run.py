"""The training command: its errors for bad input, its output, and its files."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commanding import TINY, assert_one_line, runner

pytestmark = pytest.mark.usefixtures("quick_disk", "one_thread")


@pytest.fixture
def run(tmp_path, capsys):
    """``run(*argv)``: exit status, lines of standard output, lines of standard error; runs go to ``tmp_path/out``."""
    return runner(tmp_path, capsys)


# ---- bad input ---------------------------------------------------------------------------------------

BAD_FLAGS = {
    # what is asked for: words that the one line must hold
    "--op mull": ["unknown operation 'mull'", "did you mean 'mul'", "conjugate"],
    "--op ''": ["unknown operation ''"],
    "--preset nandaa": ["unknown preset 'nandaa'", "did you mean 'nanda'", "quick"],
    "--preset=nandaa --help": ["did you mean 'nanda'"],
    "--op compose --group S": ["group 'S'", "S5"],
    "--op compose --group Z5": ["group 'Z5'", "did you mean", "'C5'"],
    "--op compose --group s5x": ["'s5x'"],
    "--op compose --group S99": ["S99"],
    "--op compose": ["'compose' works on a group", "--group"],
    "--group S3": ["'add' works on the residues", "compose"],
    "--op compose --group S3 --p 7": ["both p = 7 and group 'S3'"],
    "--preset s5 --p 7": ["'compose' works on a group", "p = 7"],
    "--op div --p 10": ["'div' needs a prime p; got p = 10", "try 11"],
    "--p 1": ["p = 1", "2"],
    "--p 0": ["p = 0"],
    "--p -3": ["p = -3"],
    "--p 100000": ["p = 100000", "5000"],
    "--p seven": ["--p", "seven"],
    "--p": ["--p"],
    "--train-frac 0": ["train_frac = 0", "between 0 and 1"],
    "--train-frac 1": ["train_frac = 1", "between 0 and 1"],
    "--train-frac -0.1": ["train_frac = -0.1"],
    "--train-frac nan": ["train_frac = nan"],
    "--train-frac 0.001 --p 5": ["train_frac = 0.001", "nothing to train on"],
    "--op div --p 2 --train-frac 0.3": ["train_frac = 0.3", "nothing to train on"],
    "--lr nan": ["lr = nan", "finite"],
    "--lr inf": ["lr = inf", "finite"],
    "--lr -1": ["lr = -1"],
    "--weight-decay nan": ["weight_decay = nan"],
    "--attn-rate nan": ["attn_rate = nan"],
    "--beta2 1": ["beta2 = 1"],
    "--d-model 30": ["d_model = 30", "n_heads = 4"],
    "--d-model 0": ["d_model = 0"],
    "--n-layers 0": ["n_layers = 0"],
    "--steps 0": ["steps = 0"],
    "--steps -5": ["steps = -5"],
    "--per-decade 0": ["per_decade = 0"],
    "--seed -1": ["seed = -1"],
    "--batch-size 0": ["batch_size = 0"],
    "--norm batch": ["--norm", "batch", "post"],
    "--arch mlp": ["mlp", "a b"],
    "--steps 4.5e0": ["--steps 4.5e0", "whole number"],
    "--steps 40,000": ["--steps 40,000", "write 40_000"],
    "--steps 1e400": ["--steps 1e400", "whole number"],
    "--steps=nan": ["--steps nan", "whole number"],
    "--batch-size half": ["--batch-size half", "whole number"],
    "--weight-decy 1": ["--weight-decy", "did you mean --weight-decay"],
    "--stepz 10": ["--stepz", "did you mean --steps"],
    "extra": ["extra"],
    "--device gpu": ["device 'gpu'", "cuda"],
    "--device cpux": ["device 'cpux'", "did you mean 'cpu'"],
    "--device cuda:999": ["device 'cuda:999'"],
    "--device cpu:x": ["device 'cpu:x'"],
    "--threads 0": ["threads = 0", "at least 1"],
    "--threads -2": ["threads = -2"],
    "--config nowhere.toml": ["nowhere.toml", "No such file"],
    "--config .": ["--config .", "directory"],
}


@pytest.mark.parametrize("flags", BAD_FLAGS)
def test_bad_flags(run, tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    assert_one_line(run(*[flag.strip("'") for flag in flags.split()]), BAD_FLAGS[flags])
    assert list(tmp_path.iterdir()) == []


def test_control_good_flags(run, tmp_path):
    status, out, err = run(*TINY)
    assert status == 0
    assert list((tmp_path / "out").iterdir()) == [Path(out[-1])]
    assert not any(line.startswith("error") for line in err)


BAD_FILES = {
    "op = ": ["not TOML"],
    "op = 'mull'": ["'mull'", "did you mean 'mul'"],
    "trainfrac = 0.5": ["unknown setting 'trainfrac'", "did you mean 'train_frac'"],
    "[task]\np = 7": ["unknown setting 'task'"],
    "op = 3": ["op", "3"],
    "op = ['add']": ["op", "add"],
    "group = 5": ["group", "5"],
    "p = 7.5": ["p", "7.5"],
    "p = inf": ["p", "inf"],
    "p = true": ["p", "True"],
    "p = 'seven'": ["p", "seven"],
    "train_frac = 'half'": ["train_frac", "half"],
    "train_frac = nan": ["train_frac = nan"],
    "lr = true": ["lr = True"],
    "seed = 1.5": ["seed = 1.5"],
    "biases = ['mlp']": ["biases"],
    "steps = '10'": ["steps = '10'"],
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_bad_config_files(run, tmp_path, text):
    path = tmp_path / "f.toml"
    path.write_text(text)
    assert_one_line(run("--config", path), BAD_FILES[text])
    assert list(tmp_path.iterdir()) == [path]


def test_config_file_that_is_not_text(run, tmp_path):
    path = tmp_path / "f.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert_one_line(run("--config", path), ["f.toml", "not TOML"])


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def done_run(run) -> Path:
    return Path(run(*TINY)[1][-1])


def test_config_that_disagrees_with_the_disk(run, done_run):
    other = Path(run(*TINY, "--train-frac", "0.6")[1][-1])
    shutil.copy(other / "run.json", done_run / "run.json")
    before = everything(done_run)
    assert_one_line(run(*TINY), [str(done_run), "another config", "choose another --out"])
    assert everything(done_run) == before


def test_directory_that_is_no_run(run, done_run):
    shutil.rmtree(done_run)
    done_run.mkdir()
    (done_run / "notes.txt").write_text("mine")
    assert_one_line(run(*TINY), [str(done_run), "is not a run"])
    assert everything(done_run) == {"notes.txt": b"mine"}


def test_out_that_cannot_be_a_folder(run, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        status, lines, err = run(*TINY, "--out", out, out=False)
        assert_one_line((status, lines, err), [str(tmp_path / "file")], expected=status)
        assert status in (2, 3)


@pytest.mark.parametrize("name", ["run.json", "log.jsonl", "DONE"])
def test_damaged_files_are_named(run, done_run, name):
    (done_run / name).write_bytes(b"\0\1 nonsense\n" * 3)
    assert_one_line(run(*TINY, "--steps", 3), [str(done_run / name)], expected=3)


@pytest.mark.parametrize("name", ["manifest.json", "resume.safetensors"])
def test_damage_that_is_set_right_is_said_in_a_line(run, done_run, name):
    """Repaired damage is reported in one line, once, and in the session's record."""
    before = everything(done_run / "steps")
    (done_run / name).write_bytes(b"\0\1 nonsense\n" * 3)
    status, _, err = run(*TINY, "--steps", 3, "--quiet")
    assert (status, len(err)) == (0, 1) and err[0].startswith("note: ") and str(done_run / name) in err[0]
    assert json.loads((done_run / "run.json").read_text())["sessions"][-1]["notes"] == [err[0].removeprefix("note: ")]
    after = everything(done_run / "steps")
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 1
    assert run(*TINY, "--steps", 3, "--quiet")[2] == []  # control: said once


def test_full_disk(run, monkeypatch):
    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert_one_line(run(*TINY, "--quiet"), ["No space left on device"], expected=3)


def test_divergence(run, tmp_path):
    argv = [*TINY, "--lr", 1000, "--warmup-steps", 0, "--steps", 50, "--quiet"]
    assert_one_line(run(*argv), ["training loss is", "lower --lr"], expected=1)
    (path,) = (tmp_path / "out").iterdir()
    assert (path / "log.jsonl").read_text()
    assert not (path / "DONE").exists()


# ---- another process ---------------------------------------------------------------------------------


def train_for_long(argv: list[str], folder: Path) -> None:
    from train.run import main

    with (folder / "stdout").open("w") as out, (folder / "err").open("w") as err:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(argv)
    raise SystemExit(status)


def test_locked_run(run, tmp_path, forked):
    argv = [*TINY, "--out", str(tmp_path / "out"), "--steps", "1000000"]
    process = forked(train_for_long, argv, tmp_path)
    try:
        while not (manifests := list(tmp_path.glob("out/*/manifest.json"))):
            assert process.is_alive(), (tmp_path / "err").read_text()
            time.sleep(0.01)
        words = [str(manifests[0].parent), f"pid {process.pid} on {socket.gethostname()}"]
        assert_one_line(run(*TINY), words)
        process.terminate()
        process.join(60)
        assert process.exitcode == 143
    finally:
        process.kill()
        process.join()
    status, _, err = run(*TINY)  # control: free again
    assert status == 0, err


HELP = """
import sys
from {module} import main
try:
    main(["--help"])
finally:
    heavy = ("torch", "numpy", "pandas", "transformer_lens", "umap", "plotly", "sklearn", "scipy", "wandb")
    print(sorted(set(heavy) & set(sys.modules)), file=sys.stderr)
"""


def test_help_lists_flags_and_imports_nothing_heavy():
    """Help lists the flags and imports no heavy library; test_architecture.py measures its time."""
    done = subprocess.run(
        [sys.executable, "-c", HELP.format(module="train.run")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
    for flag in ("--preset", "--op", "--group", "--train-frac", "--weight-decay", "--threads", "--per-decade"):
        assert flag in done.stdout


# ---- what it prints ----------------------------------------------------------------------------------


def test_output(run, tmp_path):
    """Standard output ends with the run's directory; progress outside a terminal is plain lines."""
    status, out, err = run(*TINY)
    assert status == 0
    path = Path(out[-1])
    assert path.parent == tmp_path / "out"
    assert json.loads((path / "DONE").read_text())["step"] == 2
    assert err[0] == f"training {path.name} to step 2 by the tables pass"
    last = err[-1]
    assert last.startswith("step 2/2 · ")
    for word in ("steps/s", "loss train", "test", "accuracy train", "snapshot 2", "s left"):
        assert word in last
    assert not any(character in "".join(err) for character in "\x1b\r")


def test_progress_makes_no_wild_guess(run):
    """Progress at step 0, where the rate is unknown, predicts no absurd remaining time."""
    _, _, err = run(*TINY)
    first = err[1]
    assert first.startswith("step 0/2")
    left = first.rpartition(" · ")[2]
    assert not left.removesuffix(" s left").isdigit() or int(left.removesuffix(" s left")) < 10**6, first


def test_summary_says_whether_it_grokked(run):
    from train.cli.display import summary

    out = run(*TINY)[1]
    assert "not reached: it did not grok" in out[0]
    rows = [
        {"step": step, "train_acc": train, "test_acc": test, "train_loss": 0.5, "test_loss": 0.25}
        for step, train, test in ((0, 0.1, 0.0), (10, 0.99, 0.2), (30, 1.0, 0.98), (40, 1.0, 1.0), (50, 1.0, 0.9))
    ]
    line = summary([*rows, {"step": 51, "train_loss": 9.0}])
    expected = "99% train accuracy between steps 0 and 10, 99% test accuracy between steps 30 and 40 (20 to 40 steps"
    assert expected in line
    assert "at step 50 train loss 0.5, test loss 0.25" in line
    assert summary([]) == "nothing was logged"


def test_quiet(run):
    status, out, err = run(*TINY, "--quiet")
    assert (status, err, len(out)) == (0, [], 1)
    assert (Path(out[0]) / "DONE").exists()
    assert run(*TINY, "--quiet") == (0, out, [])  # and where there is nothing to do


def test_lists(run, tmp_path):
    from train.algebra.operations import OPERATIONS
    from train.config.presets import PRESETS

    status, out, err = run("--list-presets", out=False)
    assert (status, err) == (0, [])
    for name, preset in PRESETS.items():
        assert any(line.startswith(name) and preset.doc in line for line in out)
        assert any(preset.source in line for line in out)
    status, out, err = run("--list-operations", out=False)
    assert (status, err) == (0, [])
    assert [line.split()[0] for line in out] == list(OPERATIONS)
    assert "prime" in next(line for line in out if line.startswith("div "))
    assert list(tmp_path.iterdir()) == []


def config_of(path: Path) -> dict:
    return json.loads((path / "run.json").read_text())["config"]


def test_flags_win_over_the_file_and_the_file_over_the_preset(run, tmp_path):
    from train.config.presets import PRESETS

    assert (PRESETS["zhong"].config.task.p, PRESETS["zhong"].config.optim.weight_decay) == (59, 2.0)
    file = tmp_path / "f.toml"
    file.write_text("p = 11\ntrain_frac = 0.4\nseed = 5\nd_model = 8\nn_heads = 2\nsteps = 1\nlr = 1")
    status, out, err = run("--preset", "zhong", "--config", file, "--seed", 0, "--p", "7", "--lr", "1e-3", "--quiet")
    assert status == 0, err
    config = config_of(Path(out[-1]))
    assert config["model"]["attention"] == "bidirectional"  # the preset's
    assert config["optim"]["weight_decay"] == 2.0
    assert config["task"]["train_frac"] == 0.4  # the file's
    assert config["model"]["d_model"] == 8
    assert config["task"]["p"] == 7  # the flags', be they the defaults
    assert config["seed"] == 0
    assert config["optim"]["lr"] == 1e-3


def test_default_preset_is_nanda():
    from train.cli.request import read_request
    from train.config.presets import PRESETS
    from train.config.run import RunConfig

    assert read_request([]).configs == [PRESETS["nanda"].config] == [RunConfig()]
    assert PRESETS["nanda"].config.schedule.steps == 15_000


def test_group_and_p_replace_each_other(run):
    tiny = ["--d-model", 8, "--n-heads", 2, "--steps", 1, "--threads", 1, "--quiet"]
    status, out, err = run(*tiny, "--op", "compose", "--group", "S3")
    assert status == 0, err
    assert config_of(Path(out[-1]))["task"]["p"] is None
    assert Path(out[-1]).name.startswith("compose-s3-s0-")
    status, out, err = run(*tiny, "--preset", "s5", "--op", "add", "--p", 5)
    assert status == 0, err
    assert config_of(Path(out[-1]))["task"] | {"p": 5, "group": None, "op": "add"} == config_of(Path(out[-1]))["task"]


def test_default_root_is_checkpoints(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*TINY, "--quiet", out=False)
    assert status == 0, err
    assert out[-1].startswith("checkpoints/add-p7-s0-")
    assert (tmp_path / out[-1] / "DONE").exists()


def test_session_is_recorded(run):
    path = Path(run(*TINY)[1][-1])
    run(*TINY, "--steps", 3)
    first, second = json.loads((path / "run.json").read_text())["sessions"]
    assert (first["from_step"], second["from_step"]) == (0, 2)
    assert (first["device"], first["threads"], first["host"]) == ("cpu", 1, socket.gethostname())
    assert first["command"].startswith("python -m train.run --p 7")
    assert first["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(first["versions"]) >= {"torch", "groklens", "transformer-lens"}


def test_threads_are_set_for_the_run_alone(run):
    import torch

    torch.set_num_threads(1)
    path = Path(run(*TINY, "--threads", 2)[1][-1])
    (session,) = json.loads((path / "run.json").read_text())["sessions"]
    assert session["threads"] == 2
    assert torch.get_num_threads() == 1
