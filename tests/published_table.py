"""Published values beside ours: ``python tests/published_table.py`` writes the table of docs/published_errors.md.

Needs the folder of the published files (see ``oracles.third_party``); the list of values is ``oracles.published``.
"""

import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "published_errors.md"


def rows() -> list[str]:
    """One line of markdown for each published value."""
    from oracles.published import VALUES, agrees, number, ours
    from oracles.third_party import VARIABLE, folder, published_run

    from interp.measures import measure_snapshot

    source = folder()
    if source is None:
        raise SystemExit(f"error: {VARIABLE} names no folder with the published files")
    lines = ["| model | measure | at | published | ours | difference | verdict |", "|---|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as root:
        measured = {}
        for value in VALUES:
            if value.model not in measured:
                run = published_run(value.model, source, Path(root))
                measured[value.model] = run, measure_snapshot(run.last)
            run, values = measured[value.model]
            found = ours(run, values, value)
            verdict = "agrees" if agrees(found, value.published) else value.why
            if not agrees(found, value.expected):
                verdict = "DISAGREES"
            at = ", ".join(map(str, value.at)) or ""
            far = found - number(value.published)
            cells = (value.model, f"`{value.measure}`", at, value.published, f"{found:.6g}", f"{far:.1e}", verdict)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Put the table between its markers."""
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    text, table = PAGE.read_text(), "\n".join(rows())
    PAGE.write_text(re.sub(r"(<!-- values -->\n).*?(<!-- /values -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.S))


if __name__ == "__main__":
    main()
