"""Sphinx configuration: ``python -m sphinx -W docs OUTPUT``."""

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

project = "symlump"
author = "the symlump developers"
copyright = "the symlump developers, MIT licence"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # the pages load nothing from elsewhere
    "sphinx_copybutton",
    "sphinx_design",
    "numpydoc",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the outputs are kept in the notebooks; the tests run them
nb_merge_streams = True
nb_render_markdown_format = "myst"  # a notebook's own output has formulas, too
# autosummary writes its pages with the first suffix
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_build"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "symlump"
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_nav_level": 2,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc", "sourcelink"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "start": [], "gallery": []}  # pages without others below them
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sourcelink = True
html_sourcelink_suffix = ""  # the source of a lesson is the notebook itself, for download

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

online = "tags" in globals() and tags.has("online")  # noqa: F821 - Sphinx defines tags
if online:  # "sphinx -t online": names of these libraries become links
    intersphinx_mapping = {
        name: (f"https://{place}/", None)
        for name, place in (
            ("python", "docs.python.org/3"),
            ("numpy", "numpy.org/doc/stable"),
            ("scipy", "docs.scipy.org/doc/scipy"),
            ("sympy", "docs.sympy.org/latest"),
            ("networkx", "networkx.org/documentation/stable"),
            ("torch", "docs.pytorch.org/docs/stable"),
        )
    }

#: The notebooks as pages; copies, made anew by every build.
_LESSONS = HERE / "lessons"


def _point_into_site(app, relative_path, parent_docname, content):
    """The README links to folders of the project; here the same things are pages."""
    for before, after in (
        ("(notebooks)", "(docs/lessons/index.md)"),
        ("(symlump/__init__.py)", "(docs/look-up/layout.md)"),
    ):
        content[0] = content[0].replace(before, after)


def _forget_old_names(app):
    """Remove the pages of names that are no longer public, which earlier builds have left."""
    listed = (HERE / "look-up" / "api.md").read_text(encoding="utf-8").split()
    for path in (HERE / "look-up" / "api" / "names").glob("symlump.*.rst"):
        if path.stem.removeprefix("symlump.") not in listed:
            path.unlink()


def _bring_lessons(app):
    """Copy the notebooks beside the pages, so that the site shows them and offers them for download.

    The alternative texts of pictures are put where myst-nb looks for them.
    """
    _LESSONS.mkdir(exist_ok=True)
    wanted = {path.name: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    for path in _LESSONS.glob("*.ipynb"):
        if path.name not in wanted:
            path.unlink()
    for name, path in wanted.items():
        target, notebook = _LESSONS / name, json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                words = output.get("metadata", {}).get("image/png", {}).get("alt")
                if words:
                    cell["metadata"]["mystnb"] = {"image": {"alt": words}}
        text = json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def setup(app):
    """Register what the pages are made with."""
    from docutils import nodes
    from docutils.parsers.rst import Directive

    class CommandHelp(Directive):
        """The help texts, as the program prints them."""

        def run(self):
            from symlump.cli.main import build_parser

            parser = build_parser()
            found = [nodes.literal_block(text=parser.format_help())]
            actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
            for name, command in actions[0].choices.items():
                section = nodes.section(ids=[f"symlump-{name}"])
                section += nodes.title(text=f"symlump {name}")
                section += nodes.literal_block(text=command.format_help())
                found.append(section)
            return found

    app.add_directive("command-help", CommandHelp)
    app.connect("builder-inited", _forget_old_names, priority=1)  # before new ones are made
    app.connect("builder-inited", _bring_lessons)
    app.connect("include-read", _point_into_site)
