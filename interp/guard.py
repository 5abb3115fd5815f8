"""The guard against another package called ``train``; imports none of groklens's modules, which could be shadowed."""

import sys
from importlib.util import find_spec
from pathlib import Path


def check_train() -> None:
    """Raise if ``import train`` gives another package of that name, of which there are many.

    Raises:
        ImportError: the ``train`` that Python has imported, or would import, is not groklens's.
        SystemExit: the ImportError's message in one line on standard error, where a command is being started.
    """
    root = Path(__file__).resolve().parent.parent
    theirs = _found()
    if theirs == root / "train":
        return
    text = "none" if theirs is None else repr(str(theirs))  # repr: no character that a terminal obeys
    line = (
        f"the package 'train' that Python finds is {text}, not groklens's {str(root / 'train')!r}: rename that one, or "
        f"begin with: import sys; sys.path.insert(0, {str(root)!r}); sys.modules.pop('train', None)"
    )
    if sys.argv[0] == "-m" or Path(sys.argv[0]).stem.startswith("groklens-"):  # "-m": python -m looks for the module
        raise SystemExit(f"error: {line}")
    raise ImportError(line)


def _found() -> Path | None:
    """The folder, or the file, that ``import train`` gives."""
    module = sys.modules.get("train")
    file = getattr(module, "__file__", None)
    if module is None:
        spec = find_spec("train")
        file = None if spec is None else spec.origin
    if file is None:
        return None
    path = Path(file).resolve()
    return path.parent if path.name == "__init__.py" else path
