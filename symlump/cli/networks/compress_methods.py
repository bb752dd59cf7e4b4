"""The methods of ``symlump compress``, and what each is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symlump.errors import MethodError

if TYPE_CHECKING:
    from symlump.compression.compression import Compression
    from symlump.compression.reduction import CompressionMethod
    from symlump.datasets.dataset import Dataset
    from symlump.network.network import Network

Make = Callable[[argparse.Namespace, "Dataset | None"], "CompressionMethod"]


def _afde(options: argparse.Namespace, data: Dataset | None) -> CompressionMethod:
    from symlump.compression.merging.afde import AFDE

    return AFDE(
        eps=0.0 if options.max_loss is not None or options.max_bound is not None else options.eps,
        retain=options.retain,
        linkage=options.linkage,
        relative=options.relative_to != "nothing",
        on=options.on,
        relative_to="output" if options.relative_to == "nothing" else options.relative_to,
        steps=options.steps,
        inputs=None if data is None or options.on == "state" else data.inputs,
    )


def _symmetric(options: argparse.Namespace, data: Dataset | None) -> CompressionMethod:
    from symlump.compression.symmetries.symmetric import Symmetric

    return Symmetric(eps=options.eps or 0.0, retain=options.retain, box=options.box)


def _dependence(options: argparse.Namespace, data: Dataset | None) -> CompressionMethod:
    from symlump.compression.dependences.dependence import Dependence

    if data is None:
        return Dependence(eps=options.eps, retain=options.retain, steps=options.steps)
    return Dependence(
        eps=options.eps, retain=options.retain, inputs=data.inputs, steps=options.steps
    )


def _hierarchical(options: argparse.Namespace, data: Dataset | None) -> CompressionMethod:
    from symlump.compression.hierarchical.method import Hierarchical

    inputs = None if data is None else data.inputs
    return Hierarchical(eps=options.eps, retain=options.retain, inputs=inputs)


def _svd(options: argparse.Namespace, data: Dataset | None) -> CompressionMethod:
    from symlump.compression.baselines.svd import TruncatedSVD

    return TruncatedSVD(eps=options.eps, retain=options.retain)


def _quantise(options: argparse.Namespace, data: Dataset | None) -> CompressionMethod:
    from symlump.compression.baselines.quantize import Quantize

    return Quantize(bits=options.bits)


def _global(options: argparse.Namespace, data: Dataset | None) -> CompressionMethod:
    from symlump.compression.baselines.magnitude import Magnitude

    return Magnitude(options.retain, "global")


def _layerwise(options: argparse.Namespace, data: Dataset | None) -> CompressionMethod:
    from symlump.compression.baselines.magnitude import Magnitude

    return Magnitude(options.retain, "layerwise")


def _wanda(options: argparse.Namespace, data: Dataset | None) -> CompressionMethod:
    from symlump.compression.baselines.wanda import Wanda

    if data is None:
        raise MethodError("--method wanda weighs weights by data; give --data FILE.csv")
    return Wanda(options.retain, data.inputs)


@dataclass(frozen=True)
class Named:
    """One choice of ``--method``.

    Parameters
    ----------
    make : callable
    sizes : tuple of str
        Which of the options for the size it takes.
    about : str
        What it does, and what its ε means.
    """

    make: Make
    sizes: tuple[str, ...]
    about: str


METHODS = {
    "afde": Named(
        _afde,
        ("eps", "retain", "max_loss", "max_bound"),
        "merges units that act alike; ε is a share of the outputs' spread; on the inputs of --data if "
        "given, else on drawn ones (default)",
    ),
    "symmetric": Named(
        _symmetric,
        ("eps", "retain"),
        "merges units that are multiples of one another, exactly at --eps 0, with a proof; with --box "
        "also folds ReLU units that never switch there",
    ),
    "dependence": Named(
        _dependence,
        ("eps", "retain"),
        "removes units that others can imitate; ε is a layer's share of the change of the outputs; "
        "inputs from --data, else standard normal",
    ),
    "hierarchical": Named(
        _hierarchical,
        ("eps", "retain"),
        "stores weight matrices low rank block by block; ε is the relative error of each, guaranteed; "
        "on the inputs of --data if given",
    ),
    "svd": Named(_svd, ("eps", "retain"), "makes each weight matrix a product of two thin ones"),
    "quantise": Named(_quantise, ("bits",), "rounds the weights to --bits bits"),
    "magnitude": Named(_global, ("retain",), "zeroes the smallest weights of all"),
    "magnitude-layerwise": Named(
        _layerwise, ("retain",), "zeroes the smallest weights of each layer"
    ),
    "wanda": Named(_wanda, ("retain",), "zeroes weights by size times the inputs' norm in --data"),
}


def described() -> str:
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
        help="afde: the largest tolerance with at most this mean squared error on --data",
    )
    size.add_argument(
        "--max-bound",
        type=float,
        metavar="B",
        help="afde: the largest tolerance with at most this certified change of outputs on --box",
    )
    size.add_argument("--bits", type=int, metavar="N", help="quantise: 2 to 16")


def reduced(options: argparse.Namespace, network: Network, data: Dataset | None) -> Compression:
    """Compress as the options say.

    Raises
    ------
    MethodError
        If an option does not go with the method.
    """
    from symlump.compression.compress import compress

    named = METHODS[options.method]
    given = next(
        name
        for name in ("eps", "retain", "max_loss", "max_bound", "bits")
        if getattr(options, name) is not None
    )
    if given not in named.sizes:
        takes = " or ".join("--" + size.replace("_", "-") for size in named.sizes)
        raise MethodError(
            f"--method {options.method} does not take --{given.replace('_', '-')}; give {takes}"
        )
    if options.steps and options.method not in ("afde", "dependence"):
        raise MethodError(f"--steps is for afde and dependence, not for --method {options.method}")
    method: Any = named.make(options, data)
    if given == "max_loss":
        from symlump.tolerances.search import search

        if data is None:
            raise MethodError("--max-loss is measured on data; give --data FILE.csv")
        return search(network, method, max_loss=options.max_loss, data=(data.inputs, data.targets))  # type: ignore[return-value]
    if given == "max_bound":
        from symlump.tolerances.search import search

        if options.box is None:
            raise MethodError("--max-bound holds on a range of inputs; give --box LOW HIGH")
        return search(network, method, max_bound=options.max_bound, box=options.box)  # type: ignore[return-value]
    return compress(network, method)
