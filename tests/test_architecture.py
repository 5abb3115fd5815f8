"""Who imports whom: the layers of the house, read from the source."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = [
    ("run", "presets", "display", "scaling", "interventions", "sweep", "arguments"),
    ("engine",),
    ("recorder", "stack"),
    ("passes",),
    ("readers", "imported"),
    ("frugal", "ensemble"),
    ("optim", "batches"),
    ("weights", "filters", "muon", "sgd", "dropout", "noise"),
    ("fused",),
    ("tasks", "model", "schedule", "store", "plan", "loss"),
    ("precision",),
    ("storage",),
    ("settings",),
    ("idle",),
    ("knows",),
    ("config",),
    ("optim_config",),
    ("operations",),
    ("groups",),
]
"""train/, strictly downwards; files of one row do not import each other, save those named below."""
ALLOWED_SIDEWAYS = {
    *(("run", name) for name in ("presets", "display", "interventions", "arguments")),
    *(("sweep", name) for name in ("presets", "arguments")),
}
HELPERS = {
    *("checks", "cli", "errors", "files", "streams", "curves", "provenance", "memory"),
    *("flags", "hints", "strict", "terminal"),
}
"""Small files that any layer may use; they import helpers alone."""

INTERP = {
    "maths": set(),
    "figures": set(),
    "tracks": set(),
    "computed": {"tracks"},
    "html": {"computed", "tracks"},
    "origin": set(),
    "unknown": {"origin"},
    "runs": {"origin", "unknown", "keyfreqs", "parts"},  # Run.key_freqs, for the REPL, on first use
    "parts": {"maths", "runs", "structure"},
    "keyfreqs": {"maths", "parts", "runs"},
    "triples": set(),
    "measures": {"maths", "keyfreqs", "parts", "runs", "structure", "triples"},
    "readouts": {"runs"},
    "transformerlens": {"runs"},
    "structure": {"maths"},
    "circuits": {"runs", "structure", "maths"},
    "keysteps": set(),
    "progress": {"keyfreqs", "keysteps", "measures", "parts", "runs"},
    "neurons": {"parts", "runs"},
    "story": {"keyfreqs", "maths", "measures", "parts", "progress", "runs", "structure"},
    "sections": {
        *("story", "html", "figures", "maths", "runs", "readouts", "structure", "keysteps"),
        *("parts", "keyfreqs", "measures", "progress", "circuits", "computed", "neurons"),
    },
    "layouts": {"transformerlens"},
    "importers": {"layouts"},
    "headings": {"runs"},
    "report": {"html", "headings", "sections", "runs", "scaling", "pages"},  # pages that are not of a run
    "pages": {"html", "figures"},
    "scaling": {"figures", "html"},
}
"""interp/, by file or folder: what of interp each may import."""

MATHS_MAY = {"torch", "numpy", "scipy", "sklearn", "umap", "numba", "threadpoolctl", "jaxtyping", "einops"}
FIGURES_MAY = {"pandas", "plotly", "numpy"}


def imports(path: Path) -> set[str]:
    """Absolute dotted names a file imports, anywhere in it, ours resolved from their relative form."""
    package = list(path.relative_to(ROOT).with_suffix("").parts)[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            is_package = (ROOT / module.replace(".", "/")).is_dir()
            found |= {f"{module}.{alias.name}" for alias in node.names} if is_package else {module}
    return found


def part(name: str) -> str:
    """Second component of a dotted name: the file or folder within train or interp."""
    return name.split(".")[1] if "." in name else ""


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def own(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[1]


def violations(path: Path, imported: set[str]) -> list[str]:
    """What a file of train/ imports against the layers."""
    level = {name: i for i, row in enumerate(LAYERS) for name in row}
    me = own(path)
    found = []
    for name in imported:
        other = part(name)
        if not name.startswith("train.") or other in (me, "") or other in HELPERS:
            continue
        if me in HELPERS:
            found.append(name)
        elif me in level and level.get(other, 99) <= level[me] and (me, other) not in ALLOWED_SIDEWAYS:
            found.append(name)
    return found


@pytest.mark.parametrize("path", files("train"), ids=lambda p: str(p.relative_to(ROOT)))
def test_train_imports_downwards_and_never_interp(path):
    names = imports(path)
    assert not [name for name in names if name.split(".")[0] == "interp"]
    assert own(path) in {"__init__", *HELPERS, *(name for row in LAYERS for name in row)}, "say in LAYERS where it is"
    assert violations(path, names) == []
    if own(path) != "model":
        assert not [name for name in names if name.startswith("transformer_lens")]


@pytest.mark.parametrize("path", files("interp"), ids=lambda p: str(p.relative_to(ROOT)))
def test_interp_imports_what_its_part_may(path):
    me, names = own(path), imports(path)
    if me == "__init__":
        return
    ours = {part(name) for name in names if name.startswith("interp.")} - {me, ""}
    assert me in INTERP, f"say in INTERP what {me} may import"
    assert ours <= INTERP[me]
    outside = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"interp"}
    if me == "maths":
        assert outside <= MATHS_MAY
    if me == "figures":
        assert outside <= FIGURES_MAY
    if me in ("html", "tracks", "computed"):
        assert "train" not in outside
        assert "torch" not in outside


def test_control_a_layer_turned_upside_down_is_seen():
    assert violations(ROOT / "train/config.py", {"train.engine"}) == ["train.engine"]
    assert violations(ROOT / "train/store.py", {"train.tasks"}) == ["train.tasks"]
    assert violations(ROOT / "train/engine.py", {"train.store"}) == []


def test_every_section_file_is_listed():
    listed = (ROOT / "interp/sections/__init__.py").read_text()
    for path in files("interp/sections"):
        assert path.stem == "__init__" or f"{path.stem}.build" in listed, f"list {path.stem} in SECTIONS"


UNPICKLERS = {"pickle", "_pickle", "marshal", "shelve", "copyreg", "dill", "cloudpickle", "joblib"}
MACHINERY = {"getattr", "setattr", "eval", "exec", "compile", "__import__", "globals", "vars", "open"}
"""By which a name in a file could become something that runs."""


@pytest.mark.parametrize("name", ["pickled", "records"])
def test_the_reader_of_pickles_can_reach_nothing_that_runs(name):
    """It is an interpreter of our own: no name that a file holds is looked up, in modules or on objects."""
    path = ROOT / f"interp/layouts/{name}.py"
    allowed = {"math", "struct", "collections", "dataclasses", "typing", "torch", "train", "interp"}
    assert {imported.split(".")[0] for imported in imports(path)} <= allowed
    tree = ast.parse(path.read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & (MACHINERY | {"sys", "os", "modules", "import_module", "__class__", "__dict__", "__globals__"})


def test_nothing_is_unpickled_and_one_file_prints():
    """Only ``train/terminal.py`` prints: there the text of others is made harmless."""
    for path in [*files("train"), *files("interp")]:
        text, name = path.read_text(), str(path.relative_to(ROOT))
        assert not {imported.split(".")[0] for imported in imports(path)} & UNPICKLERS, name
        assert not re.search(r"(?<!safetensors\.)torch\.load\((?!.*weights_only=True)|allow_pickle", text), name
        calls = {
            n.func.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        assert "print" not in calls or name == "train/terminal.py", name
        assert not re.search(r"std(out|err)\.write\(", text), name


@pytest.mark.parametrize(
    "module",
    [
        *("train.run", "interp.report", "interp.measures.__main__", "interp.importers"),
        *("train.scaling.__main__", "train.sweep.__main__"),
    ],
)
def test_help_is_quick_and_imports_nothing_heavy(module):
    """Without torch, transformer_lens, numpy, umap or wandb; in under 0.6 s of CPU time (the best of three)."""
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
