"""Draw the pictures of the gallery from the lines that the page shows: ``python docs/gallery.py [FOLDER]``."""

import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def blocks() -> list[str]:
    """The listings of the page, in their order."""
    text = (HERE / "gallery.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def main() -> None:
    """Run them, one after another, in the folder of the pictures."""
    os.chdir(sys.argv[1] if len(sys.argv) > 1 else HERE / "pictures")
    names: dict[str, object] = {}
    for block in blocks():
        exec(block, names)


if __name__ == "__main__":
    main()
