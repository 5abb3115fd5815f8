"""Tables of the README and the docs match the registries."""

import readme_tables


def test_tables_match_the_registries():
    for path in (readme_tables.README, readme_tables.PASSES):
        text = path.read_text()
        assert readme_tables.filled(text) == text, "run: python tests/readme_tables.py"


def test_control_a_missing_row_is_seen():
    text = readme_tables.README.read_text()
    without = "\n".join(line for line in text.splitlines() if not line.startswith("| `mul`"))
    assert readme_tables.filled(without) != without


def test_every_preset_but_one_was_run_to_its_transition():
    from train.config.presets import PRESETS

    assert set(readme_tables.SEEN) == set(PRESETS) - {"power-fig1"}  # its budget is 10^6 steps: not run


def test_the_sweep_of_the_readme_is_the_file():
    import tomllib

    text = readme_tables.README.read_text()
    shown = text.split("```toml\n", 1)[1].split("```", 1)[0]
    file = readme_tables.README.parent / "docs/fractions.toml"
    assert tomllib.loads(shown) == tomllib.loads(file.read_text())
