"""symlump: lumping of differential equations, and of neural networks as such equations.

A system goes in, a lumping comes out, with its proof; a network is a system with a way back.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symlump.compression.annealing.anneal import anneal
    from symlump.compression.annealing.result import Annealing
    from symlump.compression.annealing.seeds import anneal_seeds
    from symlump.compression.baselines.magnitude import Magnitude
    from symlump.compression.baselines.quantize import Quantize
    from symlump.compression.baselines.second_order import SecondOrder
    from symlump.compression.baselines.svd import TruncatedSVD
    from symlump.compression.baselines.wanda import Wanda
    from symlump.compression.combined import Combined
    from symlump.compression.compress import compress
    from symlump.compression.compression import Compression
    from symlump.compression.dependences.dependence import Dependence
    from symlump.compression.hierarchical.hlinear import HLinear
    from symlump.compression.hierarchical.hmatrix import HMatrix
    from symlump.compression.hierarchical.method import Hierarchical
    from symlump.compression.images import Images
    from symlump.compression.merging.afde import AFDE
    from symlump.compression.moments import Normal
    from symlump.compression.relaxed.explain_reduction import explain_reduction
    from symlump.compression.relaxed.explanation import ReductionExplanation
    from symlump.compression.relaxed.recurrent_explanation import RecurrentExplanation
    from symlump.compression.symmetries.symmetric import Symmetric
    from symlump.display.graph_text import to_dot, to_mermaid
    from symlump.display.matrix_picture import draw_blocks
    from symlump.display.refinement import Refinement, draw_refinement
    from symlump.display.result_pictures import draw
    from symlump.display.trajectory_picture import draw_trajectories
    from symlump.formats import read, write
    from symlump.formats.model import Model
    from symlump.lumping.backward import Backward
    from symlump.lumping.conditions import Conditions, conditions
    from symlump.lumping.explain import Explanation
    from symlump.lumping.forward import Forward
    from symlump.lumping.linear.conserved import conserved
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.linear.hierarchy import Hierarchy, hierarchy
    from symlump.lumping.linear.linear_lumping import LinearLumping
    from symlump.lumping.linear.parametric import LumpingFamily, lump_family
    from symlump.lumping.lump import lump
    from symlump.lumping.lumping import Lumping
    from symlump.lumping.partition import Partition
    from symlump.lumping.tolerance.breakpoints import Breakpoint, breakpoints
    from symlump.lumping.tolerance.parameters import NearestParameters, nearest_parameters
    from symlump.network.activations.torch_modules import Polynomial
    from symlump.network.bounds.difference import bound_difference, reachable
    from symlump.network.chain import Chain, Layer
    from symlump.network.decode import decode
    from symlump.network.encode import encode
    from symlump.network.exchange.onnx_io import read_onnx
    from symlump.network.exchange.onnx_write import write_onnx
    from symlump.network.network import Network
    from symlump.network.recurrent.neural_ode import NeuralODE
    from symlump.network.recurrent.onnx_reading import read_recurrent_onnx
    from symlump.network.recurrent.recurrent_network import RecurrentNetwork
    from symlump.network.saved.program import write_program
    from symlump.network.saved.rebuilt import read_module
    from symlump.network.saved.writing import write_safetensors
    from symlump.network.state_dict import read_safetensors
    from symlump.network.surrogate import surrogate, with_surrogates
    from symlump.network.torch_io import from_torch, to_torch
    from symlump.network.torch_parts import BlockSum
    from symlump.ode.polynomial import PolynomialODE
    from symlump.ode.simulate import Trajectory, simulate
    from symlump.ode.system import ODE
    from symlump.proof.certificate import Certificate
    from symlump.store.lump_store import StoreLumping, lump_store
    from symlump.store.opening import read_store
    from symlump.store.store import Store
    from symlump.store.writing import write_store
    from symlump.tolerances.search import search
    from symlump.tolerances.sweep import Sweep, sweep

_HOME = {
    "ODE": "symlump.ode.system",
    "PolynomialODE": "symlump.ode.polynomial",
    "Partition": "symlump.lumping.partition",
    "Forward": "symlump.lumping.forward",
    "Backward": "symlump.lumping.backward",
    "Breakpoint": "symlump.lumping.tolerance.breakpoints",
    "breakpoints": "symlump.lumping.tolerance.breakpoints",
    "NearestParameters": "symlump.lumping.tolerance.parameters",
    "nearest_parameters": "symlump.lumping.tolerance.parameters",
    "Lumping": "symlump.lumping.lumping",
    "lump": "symlump.lumping.lump",
    "Constrained": "symlump.lumping.linear.constrained",
    "LinearLumping": "symlump.lumping.linear.linear_lumping",
    "Hierarchy": "symlump.lumping.linear.hierarchy",
    "hierarchy": "symlump.lumping.linear.hierarchy",
    "LumpingFamily": "symlump.lumping.linear.parametric",
    "lump_family": "symlump.lumping.linear.parametric",
    "conserved": "symlump.lumping.linear.conserved",
    "Conditions": "symlump.lumping.conditions",
    "conditions": "symlump.lumping.conditions",
    "Explanation": "symlump.lumping.explain",
    "Certificate": "symlump.proof.certificate",
    "Trajectory": "symlump.ode.simulate",
    "simulate": "symlump.ode.simulate",
    "Model": "symlump.formats.model",
    "read": "symlump.formats",
    "write": "symlump.formats",
    "Chain": "symlump.network.chain",
    "Layer": "symlump.network.chain",
    "Network": "symlump.network.network",
    "NeuralODE": "symlump.network.recurrent.neural_ode",
    "RecurrentNetwork": "symlump.network.recurrent.recurrent_network",
    "read_recurrent_onnx": "symlump.network.recurrent.onnx_reading",
    "read_onnx": "symlump.network.exchange.onnx_io",
    "write_onnx": "symlump.network.exchange.onnx_write",
    "write_program": "symlump.network.saved.program",
    "read_safetensors": "symlump.network.state_dict",
    "read_module": "symlump.network.saved.rebuilt",
    "write_safetensors": "symlump.network.saved.writing",
    "bound_difference": "symlump.network.bounds.difference",
    "reachable": "symlump.network.bounds.difference",
    "surrogate": "symlump.network.surrogate",
    "with_surrogates": "symlump.network.surrogate",
    "encode": "symlump.network.encode",
    "decode": "symlump.network.decode",
    "draw": "symlump.display.result_pictures",
    "to_mermaid": "symlump.display.graph_text",
    "to_dot": "symlump.display.graph_text",
    "draw_trajectories": "symlump.display.trajectory_picture",
    "draw_blocks": "symlump.display.matrix_picture",
    "draw_refinement": "symlump.display.refinement",
    "Refinement": "symlump.display.refinement",
    "from_torch": "symlump.network.torch_io",
    "to_torch": "symlump.network.torch_io",
    "Polynomial": "symlump.network.activations.torch_modules",
    "BlockSum": "symlump.network.torch_parts",
    "AFDE": "symlump.compression.merging.afde",
    "Hierarchical": "symlump.compression.hierarchical.method",
    "HLinear": "symlump.compression.hierarchical.hlinear",
    "HMatrix": "symlump.compression.hierarchical.hmatrix",
    "Magnitude": "symlump.compression.baselines.magnitude",
    "Symmetric": "symlump.compression.symmetries.symmetric",
    "Wanda": "symlump.compression.baselines.wanda",
    "Sweep": "symlump.tolerances.sweep",
    "sweep": "symlump.tolerances.sweep",
    "search": "symlump.tolerances.search",
    "Compression": "symlump.compression.compression",
    "Dependence": "symlump.compression.dependences.dependence",
    "Images": "symlump.compression.images",
    "Normal": "symlump.compression.moments",
    "SecondOrder": "symlump.compression.baselines.second_order",
    "TruncatedSVD": "symlump.compression.baselines.svd",
    "Combined": "symlump.compression.combined",
    "Quantize": "symlump.compression.baselines.quantize",
    "Annealing": "symlump.compression.annealing.result",
    "anneal": "symlump.compression.annealing.anneal",
    "anneal_seeds": "symlump.compression.annealing.seeds",
    "compress": "symlump.compression.compress",
    "Store": "symlump.store.store",
    "StoreLumping": "symlump.store.lump_store",
    "lump_store": "symlump.store.lump_store",
    "read_store": "symlump.store.opening",
    "write_store": "symlump.store.writing",
    "RecurrentExplanation": "symlump.compression.relaxed.recurrent_explanation",
    "ReductionExplanation": "symlump.compression.relaxed.explanation",
    "explain_reduction": "symlump.compression.relaxed.explain_reduction",
}

__all__ = [
    "AFDE",
    "Annealing",
    "Backward",
    "BlockSum",
    "Breakpoint",
    "Certificate",
    "Chain",
    "Combined",
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
    "Images",
    "Layer",
    "LinearLumping",
    "Lumping",
    "LumpingFamily",
    "Magnitude",
    "Model",
    "NearestParameters",
    "Network",
    "NeuralODE",
    "Normal",
    "ODE",
    "Partition",
    "Polynomial",
    "PolynomialODE",
    "Quantize",
    "RecurrentExplanation",
    "RecurrentNetwork",
    "ReductionExplanation",
    "Refinement",
    "SecondOrder",
    "Store",
    "StoreLumping",
    "Sweep",
    "Symmetric",
    "Trajectory",
    "TruncatedSVD",
    "Wanda",
    "anneal",
    "anneal_seeds",
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
    "explain_reduction",
    "from_torch",
    "hierarchy",
    "lump",
    "lump_family",
    "lump_store",
    "nearest_parameters",
    "reachable",
    "read",
    "read_module",
    "read_onnx",
    "read_recurrent_onnx",
    "read_safetensors",
    "read_store",
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
    "write_program",
    "write_safetensors",
    "write_store",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use: ``import symlump`` is quick and does not import torch."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("symlump")
        except PackageNotFoundError:
            return "0+unknown"
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    if name == "ode":  # sl.ode("x' = -x") on its own
        return import_module("symlump.ode")
    if name == "NetworkGraph":
        import warnings

        message = "NetworkGraph is now Network; the old name goes with the next release"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return __getattr__("Network")
    raise AttributeError(f"module 'symlump' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
