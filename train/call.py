"""Training from Python, with the command's flags as keyword arguments: ``from train import train``."""

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

    Every keyword is a flag of ``python -m train.run``, with underscores. Keywords override the file, and the file
    overrides the preset. A run that already exists resumes from its last resume state; a run that has all its steps
    is returned at once. Progress is shown on a terminal or in a notebook.

    Args:
        config: a TOML file of settings, or a ``RunConfig``, which replaces preset and file.
        seeds: several runs side by side, instead of ``seed``: text such as ``"0..3"``, or integers.
        **flags: ``preset``, ``out``, ``device``, ``threads``, ``quiet``, and every field of the config, such as ``op``,
            ``p``, ``train_frac``, ``lr``, ``steps`` or ``seed``.

    Returns:
        The run's directory; with ``seeds`` a list of directories, one for each seed.

    Raises:
        UsageError: bad input; the message is the line that the command prints.
        DivergedError: the loss of a run is not finite; the other runs are trained.
        DataError: files of a run are damaged.
        OSError: a write failed; everything saved before is intact.
        KeyboardInterrupt: Ctrl-C, after everything is saved; call again to resume. A second Ctrl-C does not wait.
        Stopped: SIGTERM, after everything is saved. Signals are handled in the main thread only.
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
    """The request that keyword arguments make, and the equivalent command-line flags."""
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
    """``config`` itself, refused if a field is unknown, as in the config of an imported run.

    Raises:
        UsageError: naming a field that is unknown.
    """
    try:
        return RunConfig.from_dict(config.to_dict())
    except ValueError as error:
        raise UsageError(str(error)) from error


def differing(config: RunConfig, has_seeds: bool = False) -> dict[str, Any]:
    """Settings of ``config`` that differ from the defaults, by flat name; without the seed if ``has_seeds``."""
    changed = {s.name.rpartition(".")[2]: s.value for s in settings(config) if not s.is_default}
    return {name: value for name, value in changed.items() if not (has_seeds and name == "seed")}


def flags_of(values: Mapping[str, Any]) -> list[str]:
    """Command-line flags for ``values``; an option of the command that is None, or a switch that is off, is omitted."""
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
    """The signature of ``train`` for help and completion: every option and every field, with defaults."""
    keyword, defaults = inspect.Parameter.KEYWORD_ONLY, Options()
    first = {name: getattr(defaults, name) for name in types_of(Options) if name not in LISTS}
    rest = {s.name.rpartition(".")[2]: s.default for s in settings(RunConfig())}
    parameters = [inspect.Parameter(name, keyword, default=value) for name, value in {**first, **rest}.items()]
    return inspect.Signature(parameters, return_annotation=Path | list[Path])


train.__signature__ = _signature()  # type: ignore[attr-defined]
