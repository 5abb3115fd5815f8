"""A page is written whole or not at all."""

import os

import pytest


def simple(title):
    from interp.html.blocks import Text
    from interp.html.page import Page, PageSection

    return Page(title, "–", [PageSection("a", "A", [Text("Words.")])], {"seed": 0})


def test_a_page_is_whole_or_not_at_all(tmp_path, monkeypatch):
    from interp.html.render import render_page
    from interp.pages.writing import write

    folder = tmp_path / "new" / "folder"
    assert write(simple("Old"), folder) == folder / "index.html"
    old = (folder / "index.html").read_bytes()
    assert old == render_page(simple("Old")).encode() and "–".encode() in old

    def full_disk(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write(simple("New"), folder)
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    assert (folder / "index.html").read_bytes() == old
    monkeypatch.undo()
    write(simple("New"), folder)
    assert (folder / "index.html").read_bytes() == render_page(simple("New")).encode() != old  # control
