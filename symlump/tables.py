"""Tables as text, in Markdown, and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns: the first to the left, the others to the right.

    Examples
    --------
    >>> print(table_text(("name", "n"), [("a", "1"), ("bb", "10")]))
    name   n
    a      1
    bb    10
    """
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[c]) for row in table) for c in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if c == 0 else cell.rjust(width)
            for c, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown.

    Examples
    --------
    >>> print(markdown_table(("a", "b"), [("1", "2")]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    text = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(text + ["| " + " | ".join(line) + " |" for line in lines])


def table_html(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in HTML; every cell is escaped."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<table><thead>{line('th', header)}</thead><tbody>{body}</tbody></table>"
