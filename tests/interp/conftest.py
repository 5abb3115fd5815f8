"""Fixtures of the tests of interp; ``importing`` runs the import command on a committed model."""

import pytest


@pytest.fixture
def importing(tmp_path, capsys):
    """``importing(name, layout, *flags)``: the imported run of a fixture file."""

    def go(name, layout, *flags, out="run"):
        from oracles import foreign

        from interp import open_run
        from interp.importers.__main__ import main

        path = tmp_path / out
        status = main([str(foreign.HERE / name), "--layout", layout, "--out", str(path), *flags])
        printed = capsys.readouterr()
        assert status == 0, printed.err
        assert printed.out.splitlines()[-1] == str(path)
        return open_run(path)

    return go


@pytest.fixture(scope="session", autouse=True)
def single_threaded(one_thread):
    """One CPU thread for all tests of interp: their models are so small that threads only wait for one another."""
