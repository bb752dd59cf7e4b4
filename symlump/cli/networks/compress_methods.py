"""The methods of ``symlump compress``, and what each is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from symlump.errors import MethodError

if TYPE_CHECKING:
    from symlump.cli.networks.data import Data
    from symlump.compression.compression import Compression
    from symlump.compression.reduction import CompressionMethod
    from symlump.network.network import Network

#: A method from what it is asked for (eps, retain or bits), the options of the command, and the data.
Make = Callable[[dict[str, Any], argparse.Namespace, "Data | None"], "CompressionMethod"]


def _afde(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    from symlump.compression.merging.afde import AFDE

    method = AFDE(
        **wish,
        linkage=options.linkage or "variance",
        relative=options.relative_to != "nothing",
        on=options.on or "influence",
        relative_to=None if options.relative_to == "nothing" else options.relative_to,
        distance=options.distance,
        steps=options.steps,
    )
    if data is None or not method.uses_inputs:
        return method
    return replace(method, inputs=data.inputs)


def _symmetric(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    from symlump.compression.symmetries.symmetric import Symmetric

    return Symmetric(**wish, box=options.box)


def _dependence(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    from symlump.compression.dependences.dependence import Dependence

    seen: dict[str, Any] = {} if data is None else {"inputs": data.inputs}
    return Dependence(**wish, **seen, steps=options.steps, relative_to=options.relative_to)


def _hierarchical(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    from symlump.compression.hierarchical.method import Hierarchical

    return Hierarchical(**wish, inputs=None if data is None else data.inputs)


def _svd(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    from symlump.compression.baselines.svd import TruncatedSVD

    return TruncatedSVD(**wish, relative_to=options.relative_to)


def _quantize(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    from symlump.compression.baselines.quantize import Quantize

    return Quantize(**wish)


def _global(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    return _magnitude(wish, options, data, "global")


def _layerwise(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    return _magnitude(wish, options, data, "layerwise")


def _magnitude(
    wish: dict[str, Any], options: argparse.Namespace, data: Data | None, scope: str
) -> Any:
    from symlump.compression.baselines.magnitude import Magnitude

    seen: dict[str, Any] = {} if data is None or not options.refit else {"inputs": data.inputs}
    return Magnitude(**wish, scope=scope, refit=options.refit, **seen)


def _wanda(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    from symlump.compression.baselines.wanda import Wanda

    if data is None:
        raise MethodError("--method wanda weighs weights by data; give --data FILE.csv")
    return Wanda(**wish, inputs=data.inputs, refit=options.refit)


def _second_order(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    from symlump.compression.baselines.second_order import SecondOrder

    if data is None:
        raise MethodError("--method second-order weighs weights by data; give --data FILE.csv")
    return SecondOrder(**wish, inputs=data.inputs)


def _combined(wish: dict[str, Any], options: argparse.Namespace, data: Data | None) -> Any:
    from symlump.compression.combined import Combined

    seen: dict[str, Any] = {} if data is None else {"inputs": data.inputs}
    return Combined(**wish, **seen, count=options.count or "parameters")


@dataclass(frozen=True)
class Named:
    """One choice of ``--method``.

    Parameters
    ----------
    make : callable
    about : str
        What it does, and what its ε means.
    """

    make: Make
    about: str


METHODS = {
    "afde": Named(
        _afde,
        "merges units that act alike; ε is a share of the outputs' spread; on the inputs of --data if "
        "given, else on drawn ones (default with a tolerance, for recurrent cells, and "
        "with --equations, --certificates or an option of it)",
    ),
    "symmetric": Named(
        _symmetric,
        "merges units that are multiples of one another, exactly at --eps 0, with a proof; with --box "
        "also folds ReLU units of a chain of dense layers that never switch there",
    ),
    "dependence": Named(
        _dependence,
        "removes units that are nearly linear combinations of others; ε is a layer's share of the "
        "change of the outputs; on the inputs of --data if given, else on drawn ones",
    ),
    "hierarchical": Named(
        _hierarchical,
        "stores weight matrices low rank block by block; ε is the relative error of each, guaranteed; "
        "on the inputs of --data if given",
    ),
    "svd": Named(_svd, "makes each weight matrix a product of two thin ones"),
    "quantize": Named(
        _quantize,
        "rounds the weights to --bits bits, or to as few as ε (relative to the largest of a row) allows",
    ),
    "magnitude": Named(_global, "zeroes the smallest weights of all; ε is the share removed"),
    "magnitude-layerwise": Named(
        _layerwise, "zeroes the smallest weights of each layer; ε is the share removed"
    ),
    "wanda": Named(
        _wanda, "zeroes weights by size times the inputs' norm in --data; ε is the share removed"
    ),
    "second-order": Named(
        _second_order,
        "zeroes weights that the others replace best on --data, and fits these; ε is the share removed",
    ),
    "combined": Named(
        _combined,
        "tries merging, pruning, and merging before pruning, and keeps what changes the outputs least; with "
        "--count bytes also fewer bits; ε is that change, measured on --data if given; takes five to ten "
        "times as long as afde (convolutions up to forty), and for a tolerance twelve times that (default with "
        "--retain)",
    ),
}


#: The options that only some methods take.
_TAKEN_BY = {
    "on": ("afde",),
    "linkage": ("afde",),
    "distance": ("afde",),
    "relative_to": ("afde", "dependence", "svd"),
    "steps": ("afde", "dependence"),
    "count": ("combined",),
    "refit": ("magnitude", "magnitude-layerwise", "wanda"),
}


def usual_method(options: argparse.Namespace) -> str:
    """What is taken where ``--method`` is not given.

    For a share the best of several; merging for a tolerance, and where only merging gives what is asked for.
    """
    if options.bits is not None:
        return "quantize"
    of_merging = [name for name, takers in _TAKEN_BY.items() if takers[0] == "afde"]
    asked = any(getattr(options, name) for name in (*of_merging, "equations", "certificates"))
    return "afde" if options.retain is None or asked else "combined"


def said_of_usual(options: argparse.Namespace) -> str:
    """What to say where a size was asked for without a method; nothing elsewhere."""
    if options.method is not None or usual_method(options) != "combined":
        return ""
    return (
        "no --method was given, so several were tried; --method afde merges units and nothing else: smaller "
        "layers, equations, and a fraction of the time"
    )


def make_method(
    name: str,
    wish: dict[str, Any],
    options: argparse.Namespace,
    network: Network,
    data: Data | None,
) -> CompressionMethod:
    """The method of a name, for a network."""
    if network.chain is None:  # only in chains are units folded that never switch on the box
        options = argparse.Namespace(**{**vars(options), "box": None})
    method = METHODS[name].make(wish, options, data)
    if data is not None and data.targets is None and getattr(method, "inputs", None) is None:
        raise MethodError(
            f"--data has no targets, and {method.label} with these options does not use inputs; put targets "
            "into the last columns to see the loss"
        )
    return method


def describe_methods() -> str:
    """The methods, a paragraph for ``--help``."""
    from textwrap import fill

    width = max(map(len, METHODS))
    return "methods:\n" + "\n".join(
        fill(
            named.about,
            width=104,
            initial_indent=f"  {name:<{width}}  ",
            subsequent_indent=" " * (width + 4),
        )
        for name, named in METHODS.items()
    )


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """The options that say how far to go; exactly one of them is given."""
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--eps", type=float, metavar="E", help="the tolerance; 0 merges exactly")
    size.add_argument(
        "--retain", type=float, metavar="SHARE", help="find the tolerance that keeps this share"
    )
    size.add_argument(
        "--max-loss",
        type=float,
        metavar="L",
        help="the largest tolerance with at most this mean squared error on --data",
    )
    size.add_argument(
        "--max-bound",
        type=float,
        metavar="B",
        help="the largest tolerance with at most this certified change of outputs on --box",
    )
    size.add_argument("--bits", type=int, metavar="N", help="quantize: 2 to 16")


def reduce_network(options: argparse.Namespace, network: Network, data: Data | None) -> Compression:
    """Compress as the options say.

    Raises
    ------
    MethodError
        If an option does not go with the method.
    """
    from symlump.compression.compress import compress

    given = next(
        name
        for name in ("eps", "retain", "max_loss", "max_bound", "bits")
        if getattr(options, name) is not None
    )
    usual = options.method is None
    if usual:
        options = argparse.Namespace(**{**vars(options), "method": usual_method(options)})
    if given == "bits" and options.method != "quantize":
        raise MethodError(f"--method {options.method} does not take --bits; give --eps or --retain")
    for option, takers in _TAKEN_BY.items():
        if getattr(options, option) and options.method not in takers:
            said = f"--{option.replace('_', '-')} is for {' and '.join(takers)}"
            which = f"{options.method}, the default here; add --method {takers[0]}"
            raise MethodError(f"{said}, not for {which if usual else '--method ' + options.method}")
    searched = given in ("max_loss", "max_bound")
    wish = {"eps": 0.0} if searched else {given: getattr(options, given)}
    method = make_method(options.method, wish, options, network, data)
    if given == "max_loss":
        from symlump.tolerances.search import search

        if data is None or data.targets is None:
            raise MethodError("--max-loss is measured on data with targets; give --data FILE.csv")
        return search(network, method, max_loss=options.max_loss, data=data.pair)  # type: ignore[return-value]
    if given == "max_bound":
        from symlump.tolerances.search import search

        if options.box is None:
            raise MethodError("--max-bound holds on a range of inputs; give --box LOW HIGH")
        return search(network, method, max_bound=options.max_bound, box=options.box)  # type: ignore[return-value]
    return compress(network, method)
