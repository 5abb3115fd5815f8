"""A field newly added to the config works at once or is refused by name; tried in a copy of the package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EDITS = [
    ("train/config/model.py", '    init: Init = "nanda"\n', '    init: Init = "nanda"\n    parallel: bool = False\n'),
    ("train/config/optim.py", "    eps: float = 1e-8\n", "    eps: float = 1e-8\n    sign_updates: bool = False\n"),
    (
        "train/config/task.py",
        '    layout: Layout = "a b ="\n',
        '    layout: Layout = "a b ="\n    reverse: bool = False\n',
    ),
    # the model's is a field of both configs and a component
    (
        "train/model/config.py",
        "    attn_rate: float = 1.0\n",
        "    attn_rate: float = 1.0\n    parallel: bool = False\n",
    ),
    (
        "train/model/components.py",
        "        mlp_in = self.hook_mlp_in(resid_mid) if self.cfg.use_hook_mlp_in else resid_mid\n",
        "        mlp_in = self.hook_mlp_in(resid_mid) if self.cfg.use_hook_mlp_in else resid_mid\n"
        "        mlp_in = resid_pre if self.cfg.parallel else mlp_in\n",
    ),
]
SCRIPT = """
import contextlib, io, json, sys
from pathlib import Path
from train.run import main

flags = ["--p", "11", "--train-frac", "0.5", "--d-model", "16", "--n-heads", "2", "--d-mlp", "24", "--steps", "60"]
found = {}
for name in ("parallel", "sign-updates", "reverse", ""):
    out, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        status = main([*flags, *(["--" + name] if name else []), "--out", "runs-" + name])
    found[name] = {"status": status, "said": said.getvalue(), "files": len(list(Path().glob(f"runs-{name}/*")))}
    if status == 0:
        from interp import open_run
        from interp.measures import measure_snapshot

        run = open_run(out.getvalue().splitlines()[-1])
        log = run.evaluations.iloc[-1]
        session = json.loads((run.path / "run.json").read_text())["sessions"][-1]
        values = measure_snapshot(run.last)
        found[name] |= {
            "pass": session["pass"],
            "because": session.get("pass_because_of"),
            "log": [log.train_loss, log.test_loss],
            "loss": [run.last.loss("train"), run.last.loss("test")],
            "measures": [values["train_loss"], values["test_loss"]],
            "neuron_logit_map": str(values["W_L_energy"]),
        }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Results of runs of the edited copy, by the field that was set."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("train", "interp"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, after in EDITS:
        path = folder / name
        text = path.read_text()
        assert text.count(before) == 1, f"{name} has changed: put the edit right"
        path.write_text(text.replace(before, after))
    env = os.environ | {"PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore", "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_an_option_of_the_model_goes_by_the_plain_pass(found):
    run = found["parallel"]
    assert run["status"] == 0, run["said"]
    assert (run["pass"], run["because"]) == ("plain", "model.parallel = True")
    assert run["said"].count("by the plain pass, which is slow: no faster one knows model.parallel = True\n") == 1
    assert run["loss"] == pytest.approx(run["log"], rel=1e-5)
    assert run["measures"] == pytest.approx(run["log"], rel=1e-5)
    assert "not defined for model.parallel = True" in run["neuron_logit_map"]
    usual = found[""]  # control: without the option the same flags train something else, by a compiled pass
    assert usual["pass"] == "tables" and "to step 60 by the tables pass\n" in usual["said"]
    assert usual["log"] != pytest.approx(run["log"], rel=1e-3)


@pytest.mark.parametrize(
    ("flag", "setting"), [("sign-updates", "optim.sign_updates = True"), ("reverse", "task.reverse = True")]
)
def test_an_option_that_nothing_declares_is_refused_by_name(found, flag, setting):
    run = found[flag]
    assert run["status"] == 1
    assert run["said"].startswith(f"error: {setting} would change nothing: no part of the training declares")
    assert run["said"].count("\n") == 1
    assert run["files"] == 0
