"""Sphinx configuration: ``python -m sphinx -W docs OUTPUT``."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

project = "symlump"
author = "the symlump developers"
copyright = "the symlump developers, MIT licence"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Lumping with proofs", "page_width": "72em"}
html_static_path = []
autosummary_generate = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False


def setup(app):
    """Register the directive that prints the help of every command."""
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

    class PublicNames(Directive):
        """The docstring of every public name, in alphabetical order."""

        def run(self):
            from docutils.statemachine import StringList

            import symlump

            lines = []
            for name in sorted(symlump.__all__, key=str.lower):
                thing = getattr(symlump, name)
                kind = "autoclass" if isinstance(thing, type) else "autofunction"
                lines += [f".. {kind}:: symlump.{name}"]
                lines += ["   :members:"] * (kind == "autoclass") + [""]
            node = nodes.section()
            node.document = self.state.document
            self.state.nested_parse(StringList(lines, "public names"), 0, node)
            return node.children

    app.add_directive("command-help", CommandHelp)
    app.add_directive("public-names", PublicNames)
