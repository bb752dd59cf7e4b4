"""``symlump explain``: why are two variables together, or not?"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, names, refuse
from symlump.cli.networks.box import add_box
from symlump.cli.reading import NETWORKS, READ, add_reading, read_model, refuse_options_of_models
from symlump.errors import MethodError
from symlump.formats import SUFFIXES
from symlump.progress import working

_DESCRIPTION = """\
Say why two variables are in one block of the coarsest lumping (the identity that both satisfy), or why not
(the coefficient in which they differ, and the round of refinement in which it appeared). With --eps: how far
apart they are, and where most.

Of two networks: say what became of each layer of the first in the second, smaller one: units that were kept,
that merged, that were removed, weights set to 0. It does not matter which tool made it smaller. What was taken
for granted is said in words, and how far it is from the truth: ε, the largest change of one unit's weights
for which it holds, and δ, all these changes together; where both are 0, the two compute the same. ε and δ
compare weights: how far outputs differ is certified with --box.
"""

_EXAMPLES = """\
examples:
  symlump explain MODEL.ode x1 x3
  symlump explain MODEL.ode x1 x3 --method backward --latex
  symlump explain MODEL.ode x1 x3 --eps 0.01
  a network and a pruned one, with a certified bound for inputs between -1 and 1:
    symlump explain net.onnx pruned.onnx --box -1 1
    symlump explain net.safetensors small.safetensors --activation tanh
  all layers, and which unit stands on which, for a program:
    symlump explain net.onnx pruned.onnx --json
"""

#: Options with the values they have when they are not given.
_OF_MODELS = {
    "method": "forward", "initial": "file", "eps": 0.0, "linkage": "closure", "relative": False, "latex": False,
}  # fmt: skip
_OF_NETWORKS = {"activation": None, "output_activation": None, "box": None}


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    add_reading(
        parser,
        "a model: .ode, .net, .tra, .xml, .sbml, .txt; or a network: .safetensors, .pt, .onnx",
    )
    parser.add_argument(
        "x", nargs="?", help="a variable; of a network: the file of the smaller one"
    )
    parser.add_argument("y", nargs="?", help="another variable")
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
    parser.add_argument(
        "--activation",
        metavar="NAME",
        help="of saved state dicts: the activation of the hidden layers",
    )
    parser.add_argument(
        "--output-activation", metavar="NAME", help="of the last layer (default: identity)"
    )
    add_box(parser, "networks: certify for inputs of this range how far the outputs differ")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    declare_files(parser, reads=READ)


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    if Path(options.file).suffix.lower() in NETWORKS:
        refuse_options_of_models(options)
        refuse(options, _OF_MODELS, "is for two variables of a model; these are networks")
        if options.y is not None:
            raise MethodError(
                f"explain compares two networks, the original first; {options.y!r} is one argument too many"
            )
        if options.x is None:
            raise MethodError(
                "explain compares two networks, the original and a smaller one: "
                + shlex.join(["symlump", "explain", options.file, "SMALLER"])
            )
        if Path(options.x).suffix.lower() in SUFFIXES:
            raise _mixed(options.x, options.file)
        from symlump.cli.networks.explain_network import explain_networks

        return explain_networks(options)
    refuse(options, _OF_NETWORKS, f"is for networks; {options.file} is not one")
    if options.x is not None and Path(options.x).suffix.lower() in NETWORKS:
        raise _mixed(options.file, options.x)
    if options.x is None or options.y is None:
        given = names(options.x or "ONE,ANOTHER")  # perhaps both, with a comma between them
        two = given if len(given) == 2 else [options.x, "ANOTHER"]
        raise MethodError(
            f"two variables are compared: {shlex.join(['symlump', 'explain', options.file, *two])}"
        )
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


def _mixed(model: str, network: str) -> MethodError:
    return MethodError(
        f"{model} is a model, {network} a network: explain compares two variables of a model, or two networks"
    )
