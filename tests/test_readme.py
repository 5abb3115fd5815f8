"""The README is short, and everything that the README and the documentation name exists."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def links(text: str) -> list[str]:
    """Targets of a page's links and images that are files."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return [target for target in targets if "://" not in target]


def commands(text: str) -> list[list[str]]:
    """Words of a page's training commands, without comments and placeholders."""
    lines = re.findall(r"^python -m train\.run (.*)$", text, flags=re.M)
    return [shlex.split(line, comments=True) for line in lines if "[" not in line]


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 125


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    missing = [target for target in links(page.read_text()) if not (page.parent / target).exists()]
    assert missing == []


def test_control_a_broken_link_is_seen():
    assert links("see [a](b/c.md#d) and ![e](f.png) and [g](https://h.i)") == ["b/c.md", "f.png"]


def test_training_commands_of_the_pages_are_accepted():
    """Each training command of the documentation is parsed and checked up to where training would start."""
    from train.cli.request import read_request

    shown = [command for page in PAGES for command in commands(page.read_text())]
    assert len(shown) > 5
    for words in shown:
        assert read_request(words).configs


def test_control_a_training_command_with_a_wrong_flag_is_seen():
    from train.cli.request import read_request
    from train.errors import UsageError

    with pytest.raises(UsageError):
        read_request(commands("python -m train.run --preset quick --wait-decay 1  # a typo")[0])
