"""``symlump bench start``: how soon the command line and the library answer."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.progress import bar


def run(options: argparse.Namespace) -> Answer:
    """Measure, and print the rows."""
    from symlump.bench.start import measure
    from symlump.tables import table_text

    with bar("starting", 4) as step:
        rows = measure(options.quick, step)
    cells = [
        (
            row.what,
            f"{row.seconds:.2f}",
            f"+{row.measured:.2f} s" if row.seconds_more else f"{row.measured:.1f} ×",
            f"≤ +{row.reach:g} s" if row.seconds_more else f"≤ {row.reach:g} ×",
            "yes" if row.reached else "no",
            f"{row.yardstick}, {row.yardstick_seconds:.3f} s",
            f"{row.spread:.2f}",
        )
        for row in rows
    ]
    header = ("what", "seconds", "measured", "target", "reached", "yardstick", "max/min")
    return Answer(
        lambda: [asdict(row) | {"measured": row.measured, "reached": row.reached} for row in rows],
        lambda: table_text(header, cells),
    )
