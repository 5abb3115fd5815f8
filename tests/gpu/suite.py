"""A run of the tests marked ``gpu``, in a process of its own."""

import importlib.util
import subprocess
import sys
import xml.etree.ElementTree as ET

from gpu.bench import ROOT, Bench

PLUGINS = ("jaxtyping", "beartype", "pytest_timeout")
"""Packages that the project's pytest settings need; if one is missing, the tests run with default settings."""
PLAIN = ("-o", "addopts=", "-W", "default", "--strict-markers")


def marked(bench: Bench) -> None:
    """Run the tests marked ``gpu`` and record their counts and failures."""
    if importlib.util.find_spec("pytest") is None:
        bench.check("tests marked gpu", False, "not run: pytest is not installed")
        return
    files = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    report = bench.folder / "tests.xml"
    is_whole = all(importlib.util.find_spec(name) for name in PLUGINS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        *(() if is_whole else PLAIN),
        "-m",
        "gpu",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    command += [f"--junitxml={report}", *files]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(bench.left_s, 1))
        tail = "\n".join(done.stdout.splitlines()[-30:])
    except subprocess.TimeoutExpired as stopped:
        output = stopped.stdout.decode(errors="replace") if isinstance(stopped.stdout, bytes) else stopped.stdout or ""
        bench.found["tail"] = output[-2000:]
        bench.check("tests marked gpu", False, f"stopped after {bench.seconds:.0f} s: {output.strip()[-200:]}")
        return
    if not report.exists():
        bench.found["tail"] = tail + done.stderr[-2000:]
        bench.check("tests marked gpu", False, f"pytest ended with status {done.returncode} before any test")
        return
    cases = ET.parse(report).getroot().findall(".//testcase")
    broken = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    passed = len(cases) - len(broken) - len(skipped)
    bench.found |= {"passed": passed, "skipped": len(skipped), "settings": "the project's" if is_whole else "plain"}
    bench.found["failed"] = [{"test": _name(case), "why": _why(case)} for case in broken]
    if broken:
        bench.found["tail"] = tail
    is_dry = bench.device.type != "cuda"
    saw = f"{passed} passed, {len(broken)} failed, {len(skipped)} skipped"
    bench.check("tests marked gpu", not broken and (is_dry or passed > 0), saw)


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _why(case: ET.Element) -> str:
    for kind in ("failure", "error"):
        found = case.find(kind)
        if found is not None:
            return (found.get("message") or "")[:500]
    return ""
