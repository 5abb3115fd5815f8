"""The Markdown page of a result."""

from typing import Any


def page(result: dict[str, Any]) -> str:
    """The Markdown text of everything that a result holds."""
    stages, machine = result["stages"], result["stages"].get("machine", {})
    where = ", ".join(f"{name} {value}" for name, value in machine.get("versions", {}).items())
    is_dry = machine.get("kind") != "cuda"
    head = [f"# On {machine.get('name', 'an unknown device')}", ""]
    if is_dry:
        head += ["**A dry run: there was no accelerator, and no figure here says anything of one.**", ""]
    head += [
        f"{result['date']}, commit {result['commit']}, seed {result['seed']}, `{result['command']}`, "
        f"{result['took_s']:.0f} s of at most {result['budget_s']:.0f} s.  ",
        f"Driver {machine.get('driver')}, CUDA {machine.get('cuda')}, {where}; host: {machine.get('cpu')}.",
        "",
        f"**{'Every check passed' if result['ok'] else 'Not every check passed'}.**",
        "",
        *_stages(stages),
    ]
    return "\n".join([*head, *_speed(stages.get("speed", {})), *_singles(stages.get("singles", {})), *_end(stages), ""])


def _stages(stages: dict[str, Any]) -> list[str]:
    lines = _table("check", "outcome", "seen")
    for name, stage in stages.items():
        for check in stage.get("checks", []):
            lines.append(_row(f"{name}: {check['name']}", "passed" if check["ok"] else "**failed**", check["saw"]))
        if stage.get("ended", "done") != "done":
            lines.append(_row(name, "**not done**", stage["ended"]))
    notes = [f"- {name}: {note}" for name, stage in stages.items() for note in stage.get("notes", [])]
    return [*lines, "", *notes, ""]


def _speed(stage: dict[str, Any]) -> list[str]:
    if not stage.get("rows"):
        return []
    lines = [
        "## Model-steps per second",
        "",
        f"A copy moves {stage['bytes_per_s'] / 1e9:,.0f} GB/s, read and written. Products: all of a step's, alone.",
        "Bytes: all that products and optimiser must move, at that rate. Share: of the slower in the step's time.",
        "",
        *_table(
            *("preset", "K", "at once", "model-steps/s", "ms a step", "products, ms", "their TFLOP/s", "bytes, ms"),
            *("share", "standing, MB", "estimated, MB", "peak, MB"),
        ),
    ]
    for row in stage["rows"]:
        memory = [_mb(row.get(name)) for name in ("standing_bytes", "estimate_bytes", "peak_bytes")]
        lines.append(
            _row(
                *(row["preset"], f"{row['k']:,}", f"{row['at_once']:,}", f"{row['model_steps_per_s']:,.0f}"),
                *(f"{row['ms']:.3f}", f"{row['products_ms']:.3f}", f"{row['products_flops'] / 1e12:.2f}"),
                *(f"{row['bytes_ms']:.3f}", f"{row['share_of_floor']:.0%}", *memory),
            )
        )
    return [*lines, ""]


def _singles(stage: dict[str, Any]) -> list[str]:
    if not stage.get("rows"):
        return []
    names = ("run", "against", "steps", "in float64", "as trained, from float64", "the CPU's own", "from the CPU's own")
    lines = ["## Single runs", "", "Largest relative differences of a loss.", "", *_table(*names)]
    for row in stage["rows"]:
        numbers = [f"{row[name]:.1e}" if name in row else "" for name in ("float64", "worst", "own", "direct")]
        lines.append(_row(row["run"], row["against"], row["steps"], *numbers))
    return [*lines, ""]


def _end(stages: dict[str, Any]) -> list[str]:
    stage = stages.get("end", {})
    if "cpu" not in stage:
        return []
    lines = ["## `quick` to its end", "", *_table("", "accelerator", "CPU")]
    for name in stage["cpu"]:
        lines.append(_row(name, stage["accelerator"][name], stage["cpu"][name]))
    return lines


def _mb(count: float | None) -> str:
    return "" if count is None else f"{count / 1e6:,.0f}"


def _table(*names: str) -> list[str]:
    return [_row(*names), "|" + "---|" * len(names)]


def _row(*cells: Any) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"
