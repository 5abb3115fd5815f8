"""``from train import train``: the command from Python, with equal names and results."""

import inspect
import json
import os
import signal
import sys
import threading
import types
from pathlib import Path

import pytest
from commanding import runner
from settings_table import cases, with_value

pytestmark = pytest.mark.usefixtures("quick_disk", "one_thread")
TINY = {"p": 7, "train_frac": 0.5, "d_model": 8, "n_heads": 2, "steps": 2, "threads": 1, "device": "cpu"}


def call(**flags):
    from train import train

    return train(**flags)


def session_of(path):
    return json.loads((path / "run.json").read_text())["sessions"][-1]


def test_the_run_is_the_command_s(tmp_path, capsys):
    """The run equals the command's: its directory, every snapshot, and the log but for times."""
    path = call(**TINY, out=tmp_path / "ours", quiet=True)
    argv = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    status, out, _ = runner(tmp_path, capsys)(*argv)
    theirs = Path(out[-1])
    assert status == 0 and isinstance(path, Path) and path.name == theirs.name
    assert (path / "DONE").is_file()
    for one in sorted((theirs / "steps").iterdir()):
        assert (path / "steps" / one.name).read_bytes() == one.read_bytes()
    assert capsys.readouterr() == ("", "")


def test_it_resumes_and_extends(tmp_path, capsys):
    path = call(**TINY, out=tmp_path, quiet=True)
    assert call(**TINY, out=tmp_path) == path
    assert "already trained to step 2" in capsys.readouterr().err
    call(**TINY | {"steps": 5}, out=tmp_path, quiet=True)
    assert session_of(path)["from_step"] == 2
    from train.storage.store import RunStore

    assert RunStore.open(path).done_step == 5


def test_presets_files_and_keywords_in_order(tmp_path):
    file = tmp_path / "f.toml"
    file.write_text("p = 11\ntrain_frac = 0.6\nd_model = 8\nn_heads = 2\nsteps = 1\n")
    path = call(preset="quick", config=file, p=7, out=tmp_path, quiet=True, threads=1)
    config = json.loads((path / "run.json").read_text())["config"]
    assert (config["task"]["p"], config["task"]["train_frac"], config["task"]["split"]) == (7, 0.6, "stream")
    assert "--preset=quick --p=7" in session_of(path)["command"]


def test_a_config_object_and_its_command(tmp_path):
    """The command recorded in ``run.json`` trains the run of a config object."""
    from train import RunConfig
    from train.cli.request import read_request

    config = RunConfig().with_(op="compose", group="S3", train_frac=0.5, d_model=8, n_heads=2, steps=1)
    path = call(config=config, seed=4, out=tmp_path, quiet=True, threads=1)
    assert path.name == config.with_(seed=4).run_id
    import shlex

    argv = shlex.split(session_of(path)["command"])
    assert argv[:3] == ["python", "-m", "train.run"]
    assert read_request(argv[3:]).configs == [config.with_(seed=4)]


def test_flags_of_a_config_give_the_config():
    from train.call import differing, flags_of
    from train.cli.request import read_request

    for config in {with_value(*case) for case in list(cases())[::4]}:
        assert read_request(flags_of(differing(config))).configs == [config]


def test_the_directory_opens(tmp_path):
    from interp import open_run

    assert open_run(call(**TINY, out=tmp_path, quiet=True)).last.step == 2


def test_several_seeds_give_a_list(tmp_path):
    paths = call(**TINY, seeds=[3, 5], out=tmp_path, quiet=True)
    assert [path.name.split("-")[2] for path in paths] == ["s3", "s5"]
    assert call(**TINY, seeds=range(3, 4), out=tmp_path, quiet=True) == paths[:1]
    assert call(**TINY, seeds="5", out=tmp_path, quiet=True) == paths[1:]


BAD = [
    {"op": "mull"},
    {"preset": "nandaa"},
    {"p": 1},
    {"p": "seven"},
    {"p": 7.5},
    {"p": True},
    {"op": "compose"},
    {"op": "compose", "group": "S3", "p": 7},
    {"train_frac": 0},
    {"lr": float("nan")},
    {"lr": "fast"},
    {"d_model": 30},
    {"steps": 0},
    {"norm": "batch"},
    {"arch": "mlp"},
    {"momentum": 0.9},
    {"seed": 1, "seeds": "0..3"},
    {"seeds": "3..1"},
    {"device": "gpu"},
    {"threads": 0},
    {"config": "nowhere.toml"},
    {"learning_rate": 0.1},
    {"stepz": 3},
]


@pytest.mark.parametrize("flags", BAD, ids=str)
def test_bad_input_has_the_command_s_line(tmp_path, monkeypatch, capsys, flags):
    from train import UsageError

    monkeypatch.chdir(tmp_path)
    argv = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
    status, _, (line,) = runner(tmp_path, capsys)(*argv, out=False)
    assert status == 2
    with pytest.raises(UsageError) as error:
        call(**flags)
    assert line == f"error: {error.value}"
    assert list(tmp_path.iterdir()) == []


def test_what_is_the_command_s_alone_is_refused(tmp_path):
    from train import RunConfig, UsageError

    for flags in ({"list_presets": True}, {"help": True}, {"version": True}):
        with pytest.raises(UsageError, match="the command's alone"):
            call(**flags)
    with pytest.raises(UsageError, match="preset and a RunConfig do not go together"):
        call(config=RunConfig(), preset="quick")


def test_damage_is_a_data_error(tmp_path):
    from train import DataError

    path = call(**TINY, out=tmp_path, quiet=True)
    (path / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json"):
        call(**TINY, out=tmp_path, quiet=True)


def test_divergence_is_named(tmp_path):
    from train import DivergedError

    hot = {**TINY, "lr": 1e3, "warmup_steps": 0, "steps": 60, "out": tmp_path, "quiet": True}
    with pytest.raises(DivergedError, match="loss is"):
        call(**hot)
    with pytest.raises(DivergedError, match=r"-s1-.* failed: .*; .*-s2-.* failed: "):
        call(**hot, seeds="1,2")


@pytest.mark.parametrize(
    ("signum", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Exception)], ids=["ctrl-c", "sigterm"]
)
def test_a_signal_saves_and_is_raised(tmp_path, monkeypatch, signum, error):
    from train import Stopped
    from train.engine.stack import Stack

    update = Stack.update

    def interrupted(self):
        if self.optimizer.steps[0] == 3:
            os.kill(os.getpid(), signum)
        return update(self)

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(Stack, "update", interrupted)
    with pytest.raises(error, match="at step 4") as caught:
        call(**TINY | {"steps": 9}, out=tmp_path, quiet=True)
    assert isinstance(caught.value, Stopped) == (signum == signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    monkeypatch.undo()
    (path,) = tmp_path.iterdir()
    assert not (path / "DONE").exists()
    call(**TINY | {"steps": 9}, out=tmp_path, quiet=True)
    assert session_of(path)["from_step"] == 4 and (path / "DONE").exists()


def test_a_second_ctrl_c_does_not_wait():
    from train.call import _interrupt
    from train.cli.command import signals

    with signals(_interrupt) as poll:
        os.kill(os.getpid(), signal.SIGINT)
        assert poll() == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_in_a_thread_no_signal_handler_is_touched(tmp_path):
    paths, before = [], signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: paths.append(call(**TINY, out=tmp_path, quiet=True)))
    thread.start()
    thread.join()
    assert (paths[0] / "DONE").exists() and signal.getsignal(signal.SIGINT) is before


def test_progress_on_standard_error(tmp_path, capsys):
    call(**TINY, out=tmp_path)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("training add-p7-s0-") and "step 2/2" in err and "99% train accuracy" in err


def test_progress_in_a_notebook(tmp_path, capsys, monkeypatch):
    """Progress in a notebook is one line below the cell, replaced in place, and nothing on standard error."""
    shown, replaced = [], []

    class Handle:
        def update(self, content, raw):
            replaced.append(content["text/plain"])

    def display(content, raw, display_id):
        assert raw and display_id
        shown.append(content["text/plain"])
        return Handle()

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    ipython.display = types.ModuleType("IPython.display")  # type: ignore[attr-defined]
    ipython.display.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    monkeypatch.setattr("train.engine.loop.REPORT_EVERY_S", -1.0)
    call(**TINY, out=tmp_path)
    out, err = capsys.readouterr()
    assert err == "" and out.startswith("training add-p7-s0-") and "99% train accuracy" in out
    assert len(shown) == 1 and "step 0/2" in shown[0] and "step 2/2" in replaced[-1]


def test_help_and_completion_know_every_flag():
    from train import train

    parameters = inspect.signature(train).parameters
    assert parameters["p"].default == 113 and parameters["preset"].default == "nanda"
    assert {"op", "lr", "steps", "seed", "out", "device", "quiet"} <= set(parameters)
    assert not any(name.startswith("list_") for name in parameters)


def test_names_of_the_package():
    import train

    assert {"train", "RunConfig", "OPERATIONS", "PRESETS", "UsageError", "__version__"} <= set(dir(train))
    assert all(getattr(train, name) is not None for name in dir(train))


def test_a_config_with_other_settings():
    from train import RunConfig, UsageError

    config = RunConfig().with_(op="mul", group=None, steps=4e4)
    assert (config.task.op, config.schedule.steps) == ("mul", 40_000)
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    for fields, line in {"opp": "unknown setting 'opp'; did you mean 'op'"}.items():
        with pytest.raises(UsageError, match=line):
            RunConfig().with_(**{fields: 1})
    with pytest.raises(UsageError, match="momentum = 0.9 does nothing here"):
        RunConfig().with_(momentum=0.9)


def test_runs_are_opened_for_training_in_one_place():
    """Command, sweep and ``train`` share one function that records sessions and trains stacks; nothing else does."""
    root = Path(__file__).parents[2] / "train"
    texts = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*.py")}
    assert {name for name, text in texts.items() if "session_info(" in text} == {
        "engine/session.py",
        "storage/provenance.py",
    }
    assert {name for name, text in texts.items() if "train_together(" in text} == {
        "engine/loop.py",
        "engine/session.py",
    }
    callers = {name for name, text in texts.items() if "engine.session import opened" in text}
    assert callers == {"cli/running.py", "sweep/work.py"}
