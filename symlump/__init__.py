"""symlump: lumping of polynomial differential equations, and of neural networks as such equations.

A system goes in, a lumping comes out, with its proof; a network is a system with a way back.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symlump.compression.afde import AFDE
    from symlump.compression.anneal import anneal
    from symlump.compression.annealing import Annealing
    from symlump.compression.compression import Compression, compress
    from symlump.compression.dependence import Dependence
    from symlump.compression.hierarchical import Hierarchical
    from symlump.compression.hlinear import HLinear
    from symlump.compression.hmatrix import HMatrix
    from symlump.compression.magnitude import Magnitude
    from symlump.compression.moments import Normal
    from symlump.compression.quantize import Quantize
    from symlump.compression.search import search
    from symlump.compression.svd import TruncatedSVD
    from symlump.compression.sweep import Sweep, sweep
    from symlump.compression.symmetric import Symmetric
    from symlump.compression.wanda import Wanda
    from symlump.display.drawing import draw
    from symlump.display.graph_text import to_dot, to_mermaid
    from symlump.display.refinement import Refinement, draw_refinement
    from symlump.display.system_pictures import draw_blocks, draw_trajectories
    from symlump.formats import read, write
    from symlump.formats.model import Model
    from symlump.lumping.backward import Backward
    from symlump.lumping.breakpoints import Breakpoint, breakpoints
    from symlump.lumping.conditions import Conditions, conditions
    from symlump.lumping.conserved import conserved
    from symlump.lumping.constrained import Constrained
    from symlump.lumping.explain import Explanation
    from symlump.lumping.forward import Forward
    from symlump.lumping.hierarchy import Hierarchy, hierarchy
    from symlump.lumping.linear import LinearLumping
    from symlump.lumping.lump import lump
    from symlump.lumping.lumping import Lumping
    from symlump.lumping.parameters import NearestParameters, nearest_parameters
    from symlump.lumping.partition import Partition
    from symlump.network.bounds import bound_difference, reachable
    from symlump.network.decode import decode
    from symlump.network.encode import encode
    from symlump.network.graph import NetworkGraph
    from symlump.network.network import Layer, Network
    from symlump.network.onnx_io import read_onnx
    from symlump.network.onnx_write import write_onnx
    from symlump.network.surrogate import surrogate, with_surrogates
    from symlump.network.torch_io import BlockSum, Polynomial, from_torch, to_torch
    from symlump.ode.polynomial import PolynomialODE
    from symlump.ode.simulate import Trajectory, simulate
    from symlump.proof.certificate import Certificate

_HOME = {
    "PolynomialODE": "symlump.ode.polynomial",
    "Partition": "symlump.lumping.partition",
    "Forward": "symlump.lumping.forward",
    "Backward": "symlump.lumping.backward",
    "Breakpoint": "symlump.lumping.breakpoints",
    "breakpoints": "symlump.lumping.breakpoints",
    "NearestParameters": "symlump.lumping.parameters",
    "nearest_parameters": "symlump.lumping.parameters",
    "Lumping": "symlump.lumping.lumping",
    "lump": "symlump.lumping.lump",
    "Constrained": "symlump.lumping.constrained",
    "LinearLumping": "symlump.lumping.linear",
    "Hierarchy": "symlump.lumping.hierarchy",
    "hierarchy": "symlump.lumping.hierarchy",
    "conserved": "symlump.lumping.conserved",
    "Conditions": "symlump.lumping.conditions",
    "conditions": "symlump.lumping.conditions",
    "Explanation": "symlump.lumping.explain",
    "Certificate": "symlump.proof.certificate",
    "Trajectory": "symlump.ode.simulate",
    "simulate": "symlump.ode.simulate",
    "Model": "symlump.formats.model",
    "read": "symlump.formats",
    "write": "symlump.formats",
    "Layer": "symlump.network.network",
    "Network": "symlump.network.network",
    "NetworkGraph": "symlump.network.graph",
    "read_onnx": "symlump.network.onnx_io",
    "write_onnx": "symlump.network.onnx_write",
    "bound_difference": "symlump.network.bounds",
    "reachable": "symlump.network.bounds",
    "surrogate": "symlump.network.surrogate",
    "with_surrogates": "symlump.network.surrogate",
    "encode": "symlump.network.encode",
    "decode": "symlump.network.decode",
    "draw": "symlump.display.drawing",
    "to_mermaid": "symlump.display.graph_text",
    "to_dot": "symlump.display.graph_text",
    "draw_trajectories": "symlump.display.system_pictures",
    "draw_blocks": "symlump.display.system_pictures",
    "draw_refinement": "symlump.display.refinement",
    "Refinement": "symlump.display.refinement",
    "from_torch": "symlump.network.torch_io",
    "to_torch": "symlump.network.torch_io",
    "Polynomial": "symlump.network.torch_io",
    "BlockSum": "symlump.network.torch_io",
    "AFDE": "symlump.compression.afde",
    "Hierarchical": "symlump.compression.hierarchical",
    "HLinear": "symlump.compression.hlinear",
    "HMatrix": "symlump.compression.hmatrix",
    "Magnitude": "symlump.compression.magnitude",
    "Symmetric": "symlump.compression.symmetric",
    "Wanda": "symlump.compression.wanda",
    "Sweep": "symlump.compression.sweep",
    "sweep": "symlump.compression.sweep",
    "search": "symlump.compression.search",
    "Compression": "symlump.compression.compression",
    "Dependence": "symlump.compression.dependence",
    "Normal": "symlump.compression.moments",
    "TruncatedSVD": "symlump.compression.svd",
    "Quantize": "symlump.compression.quantize",
    "Annealing": "symlump.compression.annealing",
    "anneal": "symlump.compression.anneal",
    "compress": "symlump.compression.compression",
}

__all__ = [
    "AFDE",
    "Annealing",
    "Backward",
    "BlockSum",
    "Breakpoint",
    "Certificate",
    "Compression",
    "Conditions",
    "Constrained",
    "Dependence",
    "Explanation",
    "Forward",
    "HLinear",
    "HMatrix",
    "Hierarchical",
    "Hierarchy",
    "Layer",
    "LinearLumping",
    "Lumping",
    "Magnitude",
    "Model",
    "NearestParameters",
    "Network",
    "NetworkGraph",
    "Normal",
    "Partition",
    "Polynomial",
    "PolynomialODE",
    "Quantize",
    "Refinement",
    "Sweep",
    "Symmetric",
    "Trajectory",
    "TruncatedSVD",
    "Wanda",
    "anneal",
    "bound_difference",
    "breakpoints",
    "compress",
    "conditions",
    "conserved",
    "decode",
    "draw",
    "draw_blocks",
    "draw_refinement",
    "draw_trajectories",
    "encode",
    "from_torch",
    "hierarchy",
    "lump",
    "nearest_parameters",
    "reachable",
    "read",
    "read_onnx",
    "search",
    "simulate",
    "surrogate",
    "sweep",
    "to_dot",
    "to_mermaid",
    "to_torch",
    "with_surrogates",
    "write",
    "write_onnx",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use: ``import symlump`` is quick and does not import torch."""
    if name == "__version__":
        try:
            return version("symlump")
        except PackageNotFoundError:
            return "0+unknown"
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'symlump' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
