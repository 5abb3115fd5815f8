"""Mistakes on the training command line: hints, flags without effect, and traps."""

import json
import os
import time
from pathlib import Path

import pytest
from commanding import TINY, assert_one_line, runner

pytestmark = pytest.mark.usefixtures("quick_disk", "one_thread")


@pytest.fixture
def run(tmp_path, capsys):
    return runner(tmp_path, capsys)


def config_of(path: Path) -> dict:
    return json.loads((path / "run.json").read_text())["config"]


HINTS = {
    # what a person types: what we call it
    **{f"--op {sign}": "did you mean 'add'" for sign in ("+", "plus", "addition", "sum", "modular_addition", "x+y")},
    **{f"--op {sign}": "did you mean 'sub'" for sign in ("-", "minus", "subtraction", "a-b")},
    **{f"--op {sign}": "did you mean 'mul'" for sign in ("*", "x", "times", "multiply", "multiplication", "Product")},
    **{f"--op {sign}": "did you mean 'div'" for sign in ("/", "÷", "divide", "division")},
    "--op s5": "did you mean 'compose' with group 'S5'",
    "--op composition": "did you mean 'compose'",
    **{f"--{flag} 3": "did you mean --lr?" for flag in ("learning-rate", "learning_rate", "LR", "max-lr")},
    **{f"--{flag} 3": "did you mean --weight-decay?" for flag in ("wd", "decay", "l2", "weightdecay")},
    **{f"--{flag} 3": "did you mean --steps?" for flag in ("epochs", "n-steps", "num_steps", "iterations", "iters")},
    **{f"--{flag} 3": "did you mean --batch-size?" for flag in ("batch", "bs", "batchsize")},
    **{f"--{flag} 3": "did you mean --n-layers?" for flag in ("layers", "num-layers", "depth")},
    **{f"--{flag} 3": "did you mean --n-heads?" for flag in ("heads", "num_heads")},
    **{f"--{flag} 3": "did you mean --d-mlp?" for flag in ("hidden", "d-ff", "hidden-size")},
    **{f"--{flag} 3": "did you mean --d-model?" for flag in ("width", "dim", "n_embd")},
    **{f"--{flag} 3": "did you mean --train-frac?" for flag in ("frac-train", "fraction", "train-fraction")},
    "--modulus=7": "did you mean --p?",
    "--activation gelu": "did you mean --act-fn?",
    "--operation add": "did you mean --op?",
    "--output-dir x": "did you mean --out?",
    "--gpu 0": "did you mean --device?",
    "--random-seed 3": "did you mean --seed?",
    "--num-threads 3": "did you mean --threads?",
    "--epochs=3": "an epoch is one update",
    "--device mps": "float64, which Apple's GPUs do not have",
    "--device MPS": "float64, which Apple's GPUs do not have",
    "--device xpu": "Intel's GPUs",
    "--device gpu": "did you mean 'cuda'",
    "--device GPU": "did you mean 'cuda'",
    "--device CUDA": "did you mean 'cuda'",
    "--device nvidia": "did you mean 'cuda'",
}
IGNORED = {
    # two settings or flags of which one would do nothing
    "--seed 1 --seeds 0..3": ["--seed and --seeds do not go together"],
    "--list-presets --p 7": ["--list-presets prints and exits", "--p would do nothing"],
    "--list-operations --quiet": ["--quiet would do nothing"],
    "--list-interventions --preset nanda": ["--preset would do nothing"],
    "--momentum 0.9": ["momentum = 0.9 does nothing here", "optimizer sgd"],
    "--optimizer sgd --beta2 0.9": ["beta2 = 0.9 does nothing here", "adamw, adam or muon"],
    "--muon-momentum 0.9": ["muon_momentum = 0.9 does nothing here", "optimizer muon"],
    "--decay-to 0.5": ["decay_to = 0.5 does nothing here", "decay_steps"],
    "--grokfast-lambda 5": ["grokfast_lambda = 5.0 does nothing here", "grokfast_alpha or grokfast_window"],
    "--grokfast-alpha 0.9 --grokfast-from 50 --steps 40": ["grokfast_alpha = 0.9 does nothing here", "more steps"],
    "--decay-towards init --weight-decay 0": ["decay_towards = 'init' does nothing here", "weight_decay above 0"],
    "--preset zhong --outputs answers": ["outputs = 'answers' does nothing here", "a layout with '='"],
    **{
        f"--preset zhong --arch mlp --attention causal {flag}": [f"{name} does nothing here", "arch transformer"]
        for flag, name in {
            "--n-heads 2": "n_heads = 2",
            "--d-head 8": "d_head = 8",
            "--norm pre": "norm = 'pre'",
            "--positions sinusoidal": "positions = 'sinusoidal'",
            "--attn-rate 0.5": "attn_rate = 0.5",
            "": "init = 'zhong'",
        }.items()
    },
}


@pytest.mark.parametrize("flags", HINTS)
def test_what_a_person_means(run, tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    assert_one_line(run(*flags.split()), [HINTS[flags]])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", IGNORED)
def test_nothing_is_ignored(run, tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    assert_one_line(run(*flags.split(), out="list" not in flags), IGNORED[flags])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("steps", "found"), [("4e0", 4), ("4.0", 4), ("0_4", 4), ("+4", 4)])
def test_whole_numbers_may_be_written_as_floats(run, tmp_path, steps, found):
    from train.config.run import RunConfig
    from train.config.settings import override

    argv = [text for i, text in enumerate(TINY) if TINY[i - 1] != "--steps" and text != "--steps"] + ["--steps", steps]
    status, out, err = run(*argv, "--quiet")
    assert (status, err) == (0, [])
    assert config_of(Path(out[-1]))["schedule"]["steps"] == found
    assert override(RunConfig(), {"steps": float(steps)}).schedule.steps == found


def test_a_file_may_hold_what_the_flags_complete(run, tmp_path):
    """Momentum in the file takes effect with sgd on the command line, and is refused without."""
    file = tmp_path / "f.toml"
    file.write_text("momentum = 0.9")
    status, out, err = run(*TINY, "--config", file, "--optimizer", "sgd", "--quiet")
    assert (status, err) == (0, [])
    assert config_of(Path(out[-1]))["optim"]["momentum"] == 0.9
    assert_one_line(run(*TINY, "--config", file), ["momentum = 0.9 does nothing here"])


@pytest.mark.parametrize("kind", ["zero", "pipe", "huge", "deep", "number"])
def test_config_files_that_are_traps(run, tmp_path, kind):
    path = tmp_path / "f.toml"
    if kind == "zero":
        path = Path("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(10**12)
    else:
        path.write_text({"deep": "a = " + "[" * 20_000 + "]" * 20_000, "number": "p = 0x" + "f" * 20_000}[kind])
    started = time.monotonic()
    words = {
        "zero": "no regular file",
        "pipe": "no regular file",
        "huge": "more than the 300,000",
        "deep": "deep",
        "number": "p = ",
    }
    assert_one_line(run("--config", path), [words[kind]])
    assert time.monotonic() - started < 2
