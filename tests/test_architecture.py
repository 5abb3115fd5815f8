"""Imports between rooms go downwards, by two lists that are compared with the source; no files import in a circle."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

TRAIN = [
    {"run", "runs", "call", "sweep", "scaling"},
    {"cli"},
    {"engine"},
    {"optim"},
    {"passes"},
    {"model", "tasks", "storage"},
    {"config"},
    {"algebra"},
    {"errors", "hints", "streams", "curves", "version"},
]
"""Rooms of train/: each imports those of rows below its own. Rooms of one row do not import each other."""
INTERP = [
    {"report", "front"},
    {"pages"},
    {"sections", "scaling"},
    {"story"},
    {"measures", "circuits"},
    {"parts"},
    {"importers"},
    {"runs", "transformerlens"},
    {"html", "figures", "maths", "theory", "guard"},
]
"""Rooms of interp/, in the same way. The command of a room (``__main__``) is above all rooms."""
OUTSIDE = {
    "maths": {"torch", "numpy", "scipy", "sklearn", "umap", "numba", "threadpoolctl", "jaxtyping", "einops"},
    "figures": {"pandas", "plotly", "numpy"},
    "theory": {"numpy", "scipy", "jaxtyping"},
    "html": {"numpy", "pandas", "plotly", "jinja2", "markdown_it", "markupsafe"},
}
"""What else rooms on the ground may import, the standard library aside: nothing of train, and only maths has torch."""


def imports(path: Path) -> set[str]:
    """Absolute dotted names that a file imports anywhere, with relative imports of this package resolved."""
    package = list(path.relative_to(ROOT).with_suffix("").parts)[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            is_package = (ROOT / module.replace(".", "/")).is_dir()
            names |= {f"{module}.{alias.name}" for alias in node.names} if is_package else {module}
    return names


def part(name: str) -> str:
    """Second component of a dotted name: the file or folder within train or interp."""
    return name.split(".")[1] if "." in name else ""


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def room(path: Path) -> str:
    """The room of a file; "" for commands and for the package's own ``__init__``, which collects public names."""
    name = path.relative_to(ROOT).with_suffix("").parts[1]
    return "" if name == "__init__" or path.stem == "__main__" else name


def upwards(me: str, names: set[str], package: str, rows: list[set[str]]) -> list[str]:
    """Imported names of this package that belong to no row below the importing room."""
    level = {name: i for i, row in enumerate(rows) for name in row}
    ours = {name for name in names if name.startswith(f"{package}.") and part(name) != me}
    return sorted(name for name in ours if level.get(part(name), -1) <= level[me])


@pytest.mark.parametrize("path", files("train"), ids=lambda p: str(p.relative_to(ROOT)))
def test_train_imports_downwards_and_never_interp(path):
    names, me = imports(path), room(path)
    assert not [name for name in names if name.split(".")[0] == "interp"]
    assert me == "" or any(me in row for row in TRAIN), f"say in TRAIN where {me} is"
    assert me == "" or upwards(me, names, "train", TRAIN) == []
    if me != "model":
        assert not [name for name in names if name.startswith("transformer_lens")]


@pytest.mark.parametrize("path", files("interp"), ids=lambda p: str(p.relative_to(ROOT)))
def test_interp_imports_downwards(path):
    names, me = imports(path), room(path)
    assert me == "" or any(me in row for row in INTERP), f"say in INTERP where {me} is"
    assert me == "" or upwards(me, names, "interp", INTERP) == []
    if me in OUTSIDE:
        outside = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"interp"}
        assert outside <= OUTSIDE[me]
    if me == "sections":
        assert not [name for name in names if name.startswith("interp.sections.") and path.stem != "__init__"]


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Files that import each other in a circle; empty if there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_circle_between_files():
    """No files import in a circle, imports within functions included and type-checking imports left out."""
    edges = {}
    for path in [*files("train"), *files("interp")]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        tree = ast.parse(path.read_text())
        typing = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for inner in ast.walk(node)
        }
        package = name.split(".")[:-1]
        edges[name] = set()
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or id(node) in typing:
                continue
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for target in (module, *(f"{module}.{alias.name}" for alias in node.names)):
                if (ROOT / (target.replace(".", "/") + ".py")).is_file():
                    edges[name].add(target)
    assert len(edges) > 150
    assert circle(edges) == []
    assert circle(edges | {"train.streams": {"train.run"}})  # control


def test_control_a_layer_turned_upside_down_is_seen():
    assert upwards("config", {"train.engine.loop"}, "train", TRAIN) == ["train.engine.loop"]
    assert upwards("storage", {"train.tasks.task"}, "train", TRAIN) == ["train.tasks.task"]
    assert upwards("engine", {"train.storage.store", "torch"}, "train", TRAIN) == []
    assert upwards("maths", {"interp.theory.flow"}, "interp", INTERP) == ["interp.theory.flow"]


def test_every_section_file_is_listed():
    listed = (ROOT / "interp/sections/__init__.py").read_text()
    for path in files("interp/sections"):
        assert path.stem == "__init__" or f"{path.stem}.build" in listed, f"list {path.stem} in SECTIONS"


UNPICKLERS = {"pickle", "_pickle", "marshal", "shelve", "copyreg", "dill", "cloudpickle", "joblib"}
MACHINERY = {"getattr", "setattr", "eval", "exec", "compile", "__import__", "globals", "vars", "open"}
"""Builtins by which a name in a file could become code that runs."""


@pytest.mark.parametrize("name", ["pickled", "records"])
def test_the_reader_of_pickles_can_reach_nothing_that_runs(name):
    """The pickle reader is an interpreter of our own that looks up no name from a file."""
    path = ROOT / f"interp/importers/{name}.py"
    allowed = {"math", "struct", "collections", "dataclasses", "typing", "torch", "train", "interp"}
    assert {imported.split(".")[0] for imported in imports(path)} <= allowed
    tree = ast.parse(path.read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & (MACHINERY | {"sys", "os", "modules", "import_module", "__class__", "__dict__", "__globals__"})


def test_nothing_is_unpickled_and_one_file_prints():
    """Nothing unpickles, and only ``train/cli/terminal.py`` prints, where foreign text is escaped."""
    for path in [*files("train"), *files("interp")]:
        text, name = path.read_text(), str(path.relative_to(ROOT))
        assert not {imported.split(".")[0] for imported in imports(path)} & UNPICKLERS, name
        assert not re.search(r"(?<!safetensors\.)torch\.load\((?!.*weights_only=True)|allow_pickle", text), name
        calls = {
            n.func.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        assert "print" not in calls or name == "train/cli/terminal.py", name
        assert not re.search(r"std(out|err)\.write\(", text), name


@pytest.mark.parametrize(
    "module",
    [
        *("train.run", "interp.report", "interp.measures.__main__", "interp.importers.__main__"),
        *("train.scaling.__main__", "train.sweep.__main__", "interp.scaling.__main__"),
    ],
)
def test_help_is_quick_and_imports_nothing_heavy(module):
    """``--help`` imports no torch, transformer_lens, numpy, umap or wandb; under 0.6 s of CPU time (best of three)."""
    import resource

    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    script = (
        "import sys\n"
        f"from {module} import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert stop.code in (0, None)\n"
        "heavy = {'torch', 'transformer_lens', 'numpy', 'umap', 'wandb', 'pandas', 'plotly'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    times = []
    for _ in range(3):
        before = spent()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        times.append(spent() - before)
        assert done.returncode == 0, done.stderr
        assert "usage:" in done.stdout
    assert min(times) < 0.6, times
