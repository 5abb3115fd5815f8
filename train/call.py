"""Training from Python, by the names of the command's flags: ``from train import train``."""

import functools
import inspect
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, overload

from train.cli.command import signals
from train.cli.display import is_notebook
from train.cli.flags import types_of
from train.cli.request import LISTS, Options, Request, read_request
from train.cli.running import train_request
from train.cli.terminal import say, tell
from train.config.knows import settings
from train.config.run import RunConfig
from train.errors import DivergedError, Stopped, UsageError

Config = RunConfig | str | Path | None
COMMAND = ("python", "-m", "train.run")


@overload
def train(*, config: Config = None, seeds: None = None, **flags: Any) -> Path: ...
@overload
def train(*, config: Config = None, seeds: str | Iterable[int], **flags: Any) -> list[Path]: ...
def train(*, config: Config = None, seeds: Any = None, **flags: Any) -> Path | list[Path]:
    """Train a run, or resume it, and return its directory: ``open_run(train(preset="quick", steps=1000))``.

    Every keyword is a flag of ``python -m train.run`` with underscores, and means the same; as there, a preset is
    changed by a file and a file by keywords. Where the run is there already, training goes on from its last resume
    state, and a run that has all its steps is returned at once. Progress is shown on a terminal or in a notebook.

    Args:
        config: a TOML file of settings, or a ``RunConfig``, which stands in place of preset and file.
        seeds: several runs side by side, in place of ``seed``: text such as ``"0..3"``, or whole numbers.
        **flags: ``preset``, ``out``, ``device``, ``threads``, ``quiet``, and every field of the config, such as ``op``,
            ``p``, ``train_frac``, ``lr``, ``steps`` or ``seed``.

    Returns:
        The run's directory; with ``seeds`` a list of directories, one for each seed.

    Raises:
        UsageError: bad input, with the line that the command prints.
        DivergedError: the loss of a run is not a number; the other runs are trained.
        DataError: files of a run are damaged.
        OSError: the disk refuses; what was saved before stays.
        KeyboardInterrupt: Ctrl-C, after everything is saved; call again to resume. A second Ctrl-C does not wait.
        Stopped: SIGTERM, after everything is saved. In a thread other than the main one, signals are not noted.
    """
    request, argv = _request(config, flags if seeds is None else {**flags, "seeds": seeds})
    shown = say if is_notebook() else tell
    try:
        runs = train_request(request, [*COMMAND, *argv], shown, functools.partial(signals, _interrupt))
    except Stopped as stopped:
        if stopped.signum != signal.SIGINT:
            raise
        raise KeyboardInterrupt(f"{stopped}; saved: call train again to resume") from None
    failed = [(store, error) for store, error in runs if error is not None]
    if failed and len(runs) == 1:
        raise failed[0][1]
    if failed:
        raise DivergedError("; ".join(f"{store.path.name} failed: {error}" for store, error in failed))
    paths = [store.path for store, _ in runs]
    return paths[0] if seeds is None else paths


def _interrupt(signum: int) -> NoReturn:
    raise KeyboardInterrupt(f"stopped by a second signal {signum}; what was written whole stays")


def _request(config: Config, flags: Mapping[str, Any]) -> tuple[Request, list[str]]:
    """The runs that keywords ask for, and flags of the command that ask for the same."""
    for name in flags:
        if name in ("help", "version", *LISTS) or name.startswith("tyro_"):
            raise UsageError(f"{name} is the command's alone: leave it out; help(train) lists what there is")
    if not isinstance(config, RunConfig):
        argv = flags_of({"config": config, **flags})
        return read_request(argv), argv
    if "preset" in flags:
        raise UsageError("preset and a RunConfig do not go together: give one")
    request = read_request(flags_of(flags), _checked(config))
    how = {name: value for name, value in flags.items() if name in types_of(Options)}
    return request, [*flags_of(differing(request.configs[0], "seeds" in flags)), *flags_of(how)]


def _checked(config: RunConfig) -> RunConfig:
    """A config whose fields are all known, which those of an imported run are not.

    Raises:
        UsageError: naming a field that is unknown.
    """
    try:
        return RunConfig.from_dict(config.to_dict())
    except ValueError as error:
        raise UsageError(str(error)) from error


def differing(config: RunConfig, has_seeds: bool = False) -> dict[str, Any]:
    """Settings by flat names that turn the default run into ``config``; without the seed where ``has_seeds``."""
    changed = {s.name.rpartition(".")[2]: s.value for s in settings(config) if not s.is_default}
    return {name: value for name, value in changed.items() if not (has_seeds and name == "seed")}


def flags_of(values: Mapping[str, Any]) -> list[str]:
    """Flags as they would be typed; an option of the command that is None is left out, as is a switch that is off."""
    types, options = types_of(RunConfig), types_of(Options)
    argv = []
    for name, value in values.items():
        flag = "--" + name.replace("_", "-")
        if name in options and (value is None or value is False):
            continue
        if isinstance(value, bool) and (types | options).get(name) is bool:
            argv.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, Iterable) and not isinstance(value, str):
            argv.append(f"{flag}={','.join(map(str, value))}")
        else:
            argv.append(f"{flag}={value}")
    return argv


def _signature() -> inspect.Signature:
    """What a call may be given, for help and completion: every option, and every field with its default."""
    keyword, defaults = inspect.Parameter.KEYWORD_ONLY, Options()
    first = {name: getattr(defaults, name) for name in types_of(Options) if name not in LISTS}
    rest = {s.name.rpartition(".")[2]: s.default for s in settings(RunConfig())}
    parameters = [inspect.Parameter(name, keyword, default=value) for name, value in {**first, **rest}.items()]
    return inspect.Signature(parameters, return_annotation=Path | list[Path])


train.__signature__ = _signature()  # type: ignore[attr-defined]
