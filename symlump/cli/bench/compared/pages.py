"""``symlump bench pages``: the tables of pages, from the files of rows beside them."""

from __future__ import annotations

import argparse
from pathlib import Path

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files

DESCRIPTION = """\
Write the tables of Markdown pages anew. A table stands between two marks,

  <!-- table FILE.csv KIND option=value … -->
  <!-- end -->

and is made of the rows in FILE.csv beside the page, as bench afde, budgets, channels, transformer and recurrent
write them. Kinds: ranks; means (share=S); against (rivals=plain, or refitted); behind (of=METHOD); ratios;
right; errors. Every one takes group=…, where a file has several groups of runs, and methods="A;B", or
but="A;B". Rows of bench pinn (group=…), trained and hmatrix have kinds of these names; pinn-ranks (share=S)
ranks the first, packed shows those of trained with the bytes of files. A picture of errors against sizes stands
between <!-- picture FILE.csv … --> and <!-- end -->, and is drawn anew where its rows are others; after="…" is
for its title, where networks were trained further.

examples:
  symlump bench pages docs/learn/*.md
  symlump bench pages docs/learn/*.md --rows symlump-bench
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("pages", nargs="+", metavar="PAGE.md", help="the pages")
    parser.add_argument(
        "--rows",
        metavar="DIR",
        help="first copy the files that the pages name from this folder, or folders in it; NAME.csv is also "
        "NAME/errors.csv and NAME/trained.csv",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; the exit code is 1 if a table differs"
    )
    parser.add_argument("--json", action="store_true", help="print the pages that differ as JSON")
    declare_files(parser, reads=("pages",))


def run(options: argparse.Namespace) -> Answer:
    """Write the pages.

    Raises
    ------
    MethodError
        If ``--check`` and ``--rows`` are given: it would write files.
    FileFormatError
        If ``--rows`` has a file twice.
    """
    from symlump.bench.compared.pages import draw, files_of, old_pictures, write_tables
    from symlump.datasets.fetch import read_text
    from symlump.errors import MethodError
    from symlump.files import write_text

    if options.check and options.rows is not None:
        raise MethodError("--check writes nothing, and --rows copies files: give one of them")
    differ = []
    for page in map(Path, options.pages):
        text = read_text(page)
        if options.rows is not None:
            for name in files_of(text):
                found = _found(Path(options.rows), name)
                if found is not None:
                    write_text(page.parent / name, read_text(found))
        new = write_tables(text, page.parent)
        if new != text:
            differ.append(str(page))
            if not options.check:
                write_text(page, new)
        for mark, path in old_pictures(text, page.parent):
            differ.append(str(path))
            if not options.check:
                draw(mark, path, page.parent)
    said = "differs from its rows" if options.check else "written"
    return Answer(
        lambda: differ,
        lambda: (
            "\n".join(f"{page}: {said}" for page in differ) or "every table is that of its rows"
        ),
        code=int(options.check and bool(differ)),
    )


def _found(folder: Path, name: str) -> Path | None:
    """The file of that name, or what ``bench afde`` or ``trained`` wrote in a folder of that name."""
    from symlump.errors import FileFormatError

    stem = Path(name).stem
    places = (f"{stem}/{name}", name, f"{stem}/errors.csv", f"{stem}/trained.csv")
    found = next(filter(None, (sorted(folder.rglob(place)) for place in places)), [])
    if len(found) > 1:
        raise FileFormatError(f"{folder} has {name} twice: {found[0]} and {found[1]}")
    return found[0] if found else None
