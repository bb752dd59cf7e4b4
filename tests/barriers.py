"""What keeps people from using a page, as axe-core finds it."""

from pathlib import Path

import pytest


def barriers(page):
    """What axe-core finds serious on a page, for people with a keyboard, a screen reader or weak sight."""
    package = pytest.importorskip("axe_playwright_python")
    if not page.evaluate("'axe' in window"):
        page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")[
        "violations"
    ]
    return [v for v in found if v["impact"] in ("serious", "critical")]
