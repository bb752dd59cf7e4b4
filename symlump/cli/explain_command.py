"""``symlump explain``: why are two variables together, or not?"""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files
from symlump.cli.reading import READ, add_reading, read_model
from symlump.progress import working

_DESCRIPTION = """\
Say why two variables are in one block of the coarsest lumping (the identity that both satisfy), or why not
(the coefficient in which they differ, and the round of refinement in which it appeared). With --eps: how far
apart they are, and where most.
"""

_EXAMPLES = """\
examples:
  symlump explain MODEL.ode x1 x3
  symlump explain MODEL.ode x1 x3 --method backward --latex
  symlump explain MODEL.ode x1 x3 --eps 0.01
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    add_reading(parser)
    parser.add_argument("x", help="a variable")
    parser.add_argument("y", help="another")
    parser.add_argument("--method", choices=("forward", "backward"), default="forward")
    parser.add_argument("--initial", choices=("one", "file", "values"), default="file")
    parser.add_argument(
        "--eps", type=float, default=0.0, metavar="E", help="a tolerance, as for symlump lump"
    )
    parser.add_argument(
        "--linkage",
        default="closure",
        choices=("closure", "diameter", "variance"),
        help="how the tolerance groups variables (default: closure)",
    )
    parser.add_argument("--relative", action="store_true", help="a relative tolerance")
    parser.add_argument("--latex", action="store_true", help="print LaTeX")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    declare_files(parser, reads=READ)


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.lumping.backward import Backward
    from symlump.lumping.forward import Forward
    from symlump.lumping.lump import lump

    model = read_model(options)
    with working("lumping"):
        kind = Forward if options.method == "forward" else Backward
        method = kind(options.eps, linkage=options.linkage, relative=options.relative)
        lumping = lump(model.ode, method, model.initial_partition(options.initial))
        explanation = lumping.explain(options.x, options.y)
    return Answer(
        lambda: {
            "file": options.file,
            "method": options.method,
            "initial": options.initial,
            "eps": options.eps,
            "x": options.x,
            "y": options.y,
            "together": explanation.together,
            "round": explanation.round,
            "text": explanation.text,
            "latex": explanation.latex,
        },
        lambda: explanation.latex if options.latex else explanation.text,
    )
