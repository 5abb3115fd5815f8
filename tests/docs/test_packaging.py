"""The files that a user installs, wheel and source archive, and the version that the package reports."""

import email
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normal(name: str) -> str:
    """A distribution's name in the normalised form that indexes compare."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_one_version_everywhere():
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), flags=re.M)
    assert cited is not None and cited[1] == project()["version"]


def test_every_dependency_has_a_lower_bound_and_a_tested_version():
    """Each tested version satisfies the bound of its requirement; extras that name this package are left out."""
    from packaging.requirements import Requirement

    pairs = (line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    tested = {normal(name): version for name, version in pairs}
    extras = project()["optional-dependencies"]
    for text in [*project()["dependencies"], *(text for extra in extras.values() for text in extra)]:
        requirement = Requirement(text)
        if requirement.name == "groklens":
            assert requirement.extras <= set(extras)
            continue
        assert any(spec.operator in (">=", "==") for spec in requirement.specifier), text
        assert tested[normal(requirement.name)] in requirement.specifier, text


def test_no_address_is_invented():
    """No address is given anywhere, because no home page exists yet."""
    assert "urls" not in project()
    for name in ("CITATION.cff", "SECURITY.md"):
        assert "http" not in (ROOT / name).read_text()


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> tuple[Path, Path]:
    """The wheel and the source archive, built from a copy of the files that git would commit."""
    folder = tmp_path_factory.mktemp("dist")
    argv = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


def test_the_wheel_holds_the_packages_and_nothing_else(archives):
    with zipfile.ZipFile(archives[0]) as wheel:
        names = set(wheel.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        about = email.message_from_string(wheel.read(metadata).decode())
    assert {name.split("/")[0] for name in names} == {"train", "interp", metadata.split("/")[0]}
    ours = {
        str(path.relative_to(ROOT))
        for package in ("train", "interp")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".nbi", ".nbc")
    }
    assert {name for name in names if not name.startswith(metadata.split("/")[0])} == ours
    assert {"train/py.typed", "interp/py.typed", "interp/html/assets/main.js"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert about["License-Expression"] == "MIT" and about["Requires-Python"] == ">=3.11"
    assert archives[0].stat().st_size < 1_000_000


def test_the_source_archive_holds_tests_and_docs_and_no_runs(archives):
    with tarfile.open(archives[1]) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    for name in ("pyproject.toml", "constraints.txt", "Makefile", "mkdocs.yml", "CITATION.cff", "LICENSE", "README.md"):
        assert name in names
    for name in ("tests/conftest.py", "docs/index.md", "docs/images/report.png", ".ci/run", "train/run.py"):
        assert name in names
    kept = {"checkpoints/README.md", "reports/README.md"}
    assert {name for name in names if name.startswith(("checkpoints", "reports"))} == kept
    assert not any("__pycache__" in name or name.endswith(".whl") or name.startswith(".venv") for name in names)


@pytest.mark.slow
def test_the_wheel_runs_in_a_fresh_environment(archives, tmp_path):
    """Every console script of the installed wheel answers, and two work, beside this environment's other packages."""
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    (site,) = home.glob("lib/python*/site-packages")
    outer = {sysconfig.get_path("purelib"), *(p for p in sys.path if p.endswith("site-packages"))}
    kept = "\n".join(path for path in outer)
    (site / "outer.pth").write_text(kept + "\n")
    python = home / "bin/python"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--ignore-installed", archives[0]]
    subprocess.run(install, check=True, cwd=tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*argv: str | Path) -> str:
        done = subprocess.run(
            list(map(str, argv)), cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    # the installed copy comes before a checkout that the outer environment names
    where = run(python, "-c", "import train, interp; print(train.__file__, interp.__file__)")
    assert where.count(str(site)) == 2, where
    for script in project()["scripts"]:
        assert run(home / "bin" / script, "--version").strip() == f"groklens {project()['version']}"
    tiny = ("--preset", "quick", "--p", "11", "--d-model", "16", "--n-heads", "2", "--steps", "30", "--quiet")
    path = run(home / "bin/groklens-train", *tiny).splitlines()[-1]
    page = run(home / "bin/groklens-report", path, "--only", "curves").splitlines()[-1]
    assert "<html" in (tmp_path / page).read_text()
