"""Generated tables of the documentation match the registries."""

import re
import tomllib


def test_tables_match_the_registries(tables):
    seen = set()
    for path in tables.pages():
        text = path.read_text()
        seen |= set(tables.names_in(text))
        assert tables.filled(text) == text, f"{path}: run python docs/tables.py"
        seen |= {name for name in tables.BUILT if f"<!-- {name} -->" in text}
    assert seen == {*tables.TABLES, *tables.BUILT}


def test_control_a_missing_row_is_seen(tables):
    text = (tables.DOCS / "reference/operations.md").read_text()
    without = "\n".join(line for line in text.splitlines() if not line.startswith("| `mul`"))
    assert tables.filled(without) != without


def test_cells_keep_their_characters(tables):
    made = tables.table(["a"], [["|x| in `C<n>` and D<n>"]])
    assert made == "| a |\n|---|\n| \\|x\\| in `C<n>` and D&lt;n> |"


def test_every_preset_but_one_was_run_to_its_transition(tables):
    from train.config.presets import PRESETS

    assert set(tables.SEEN) == set(PRESETS) - {"power-fig1"}  # its budget is 10^6 steps: not run


def test_every_setting_has_a_row(tables):
    import settings_table

    rows = re.findall(r"^\| `--([a-z0-9-]+)`", tables.settings_table(), flags=re.M)
    names = sorted(name.rpartition(".")[2] for name in settings_table.names())
    assert sorted(name.replace("-", "_") for name in rows) == names


def test_the_sweep_of_the_guide_is_the_file(tables):
    text = (tables.DOCS / "guides/sweeps.md").read_text()
    shown = text.split("```toml\n", 1)[1].split("```", 1)[0]
    assert tomllib.loads(shown) == tomllib.loads((tables.DOCS / "fractions.toml").read_text())


def test_a_patch_is_counted_by_files_and_runs_of_changed_lines(tables):
    patch = "\n".join(
        [
            *("diff --git a/x b/x", "--- a/x", "+++ b/x", "@@ -1,7 +1,8 @@", " a", "-b", "+c", "+d", " e", "+f"),
            *("diff --git a/y b/y", "--- /dev/null", "+++ b/y", "@@ -0,0 +1,2 @@", "+g", "+h"),
        ]
    )
    assert tables.touched(patch) == (2, 3)


def test_contributing_names_every_room_and_about_its_lines(tables):
    shown = dict(
        re.findall(r"^\| `((?:train|interp)/\w+)` \| ([\d,]+) \|", tables.CONTRIBUTING.read_text(), flags=re.M)
    )
    rooms = {
        f"{package}/{path.name}"
        for package in ("train", "interp")
        for path in (tables.ROOT / package).iterdir()
        if (path / "__init__.py").exists()
    }
    assert set(shown) == rooms
    for room, lines in shown.items():
        about = int(lines.replace(",", ""))
        assert abs(about - tables.lines_of(room)) <= 100 + 0.3 * about, f"{room}: run python docs/tables.py"
