"""The documentation builds without a warning, and reads well in a browser."""

import json
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from barriers import barriers

import symlump

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


#: Pages of each kind, which are looked at by axe-core.
LOOKED_AT = (
    "index.html",
    "gallery.html",
    "learn/bounds-networks.html",
    "lessons/07-one-epsilon.html",
    "lessons/index.html",
    "look-up/api.html",
    "look-up/api/names/symlump.AFDE.html",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for module in ("sphinx", "myst_nb", "numpydoc", "pydata_sphinx_theme", "sphinx_design"):
        pytest.importorskip(module)
    output = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


def pages(site):
    found = (path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    return sorted(name for name in found if not name.startswith(("_modules", "_static")))


@pytest.mark.slow
def test_documentation_builds(site):
    assert {"index.html", "start.html", "learn/theory.html", "look-up/api.html"} <= set(pages(site))
    commands = (site / "look-up" / "command-line.html").read_text()
    assert "symlump lump" in commands and "exit codes" in commands


def test_every_public_name_is_on_one_page():
    text = (ROOT / "docs" / "look-up" / "api.md").read_text()
    assert sorted(re.findall(r"^   (\w+)$", text, re.M)) == sorted(symlump.__all__)


def test_the_reading_order_names_every_page():
    folder = ROOT / "docs" / "learn"
    text = (folder / "index.md").read_text()
    order, contents = text.split("```{toctree}")
    pages = {path.stem for path in folder.glob("*.md")} - {"index"}
    assert set(re.findall(r"\]\((\S+)\.md\)", order)) == pages == set(contents.split()[1:-1])


def test_rooms_are_named_where_one_looks():
    rooms = {path.parent.name for path in (ROOT / "symlump").glob("*/__init__.py")}
    for page in (ROOT / "README.md", ROOT / "docs" / "look-up" / "layout.md"):
        assert not {room for room in rooms if f"`{room}`" not in page.read_text()}, page.name


@pytest.mark.slow
def test_the_gallery_is_drawn_by_its_lines(tmp_path):
    """Every picture of the page is written by the listing below it, and has a text instead."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "gallery.py", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    text = (ROOT / "docs" / "gallery.md").read_text()
    shown = re.findall(r"^!\[(.{20,})\]\(pictures/(.*)\)$", text, re.M)
    assert {name for _, name in shown} == {path.name for path in tmp_path.iterdir()}
    assert len(shown) == len(re.findall(r"^!\[", text, re.M)) >= 12
    assert all((ROOT / "docs" / "pictures" / name).exists() for _, name in shown)


@pytest.mark.slow
def test_every_lesson_is_on_the_site(site):
    lessons = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert lessons <= {path.stem for path in (site / "lessons").glob("*.html")}
    for lesson in lessons:
        links = re.findall(
            r'href="([^"]*\.ipynb)"', (site / "lessons" / f"{lesson}.html").read_text()
        )
        (target,) = {(site / "lessons" / link).resolve() for link in links if "_sources" in link}
        cells = json.loads(target.read_text())["cells"]
        ours = json.loads((ROOT / "notebooks" / f"{lesson}.ipynb").read_text())["cells"]
        assert [cell["source"] for cell in cells] == [cell["source"] for cell in ours]


@pytest.mark.slow
def test_every_picture_has_a_text_instead(site):
    for name in pages(site):
        for tag in re.findall(r"<img[^>]*>", (site / name).read_text()):
            (words,) = re.findall(r'alt="([^"]*)"', tag)
            assert len(words) > 15 and not words.endswith((".png", ".svg")), (name, tag)


@pytest.mark.slow
def test_formulas_are_typeset_without_another_host(site):
    theory = (site / "learn" / "theory.html").read_text()
    assert 'class="math' in theory
    for name in pages(site):
        sources = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', (site / name).read_text()
        )
        assert not [s for s in sources if re.match(r"https?:|//", s)], name
        assert "$$" not in (site / name).read_text(), name  # a formula that stayed text
    assert (site / "_static" / "mathjax" / "tex-chtml.js").exists()


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for many files

    def log_message(self, *arguments):
        pass


def clipped(page):
    """Words that end beyond the edge of the screen, where nothing scrolls to them."""
    return page.evaluate(
        """() => [...document.querySelectorAll('article.bd-article *')].filter((e) =>
          !e.children.length && e.textContent.trim() && e.checkVisibility()
          && !e.closest('pre, table, .math, details:not([open])')
          && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
          .map((e) => e.textContent.trim().slice(0, 40))"""
    )


def unreached(page):
    """What can be seen and worked on a page, and is not among what the tab key leads to."""
    count = page.evaluate(
        """() => {
          const works = 'a[href], button, input, select, textarea, summary, [tabindex]';
          const seen = [...document.querySelectorAll(works)].filter((e) => e.tabIndex >= 0 && !e.disabled
            && e.checkVisibility({ visibilityProperty: true }));
          window.left = new Set(seen);
          document.addEventListener('focusin', (event) => window.left.delete(event.target));
          return seen.length;
        }"""
    )
    for _ in range(2 * count // 50 + 1):
        for _ in range(50):
            page.keyboard.press("Tab")
        if not page.evaluate("window.left.size"):
            return []
    return page.evaluate("[...window.left].map((e) => e.outerHTML)")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.filterwarnings("ignore")
def test_pages_fit_wide_and_narrow_screens(site):
    playwright = pytest.importorskip("playwright.sync_api")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    generated = re.compile(r"look-up/api/names/(?!symlump\.(AFDE|Lumping|lump)\.)")
    walk = [name for name in pages(site) if not generated.match(name)]
    problems = []
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        for name in walk:
            for width, theme in ((1280, "light"), (390, "dark")):
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(color_scheme=theme)
                if width == 1280:
                    page.goto(f"http://127.0.0.1:{server.server_port}/{name}")
                elif name in LOOKED_AT:
                    page.wait_for_timeout(500)  # the theme waits, too, before it follows the width
                over = page.evaluate(
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                )
                if over > 0:
                    problems.append(f"{name} is {over} px wider than a screen of {width}")
                problems.extend(f"{name} at {width} clips {words!r}" for words in clipped(page))
                if name in LOOKED_AT:
                    problems.extend(f"{name}: {v['help']}" for v in barriers(page))
                    if width == 1280:
                        problems.extend(f"{name}: no key leads to {x}" for x in unreached(page))
        browser.close()
    server.shutdown()
    server.server_close()
    assert not problems
