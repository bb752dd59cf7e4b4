"""A system or a network with a method: what sweeps and searches ask, and in which words they refuse."""

from __future__ import annotations

import sys
from typing import Any

from symlump.errors import MethodError
from symlump.lumping.equivalence import LumpingMethod
from symlump.network.network import Network
from symlump.network.recurrent.neural_ode import NeuralODE
from symlump.network.recurrent.recurrent_network import RecurrentNetwork
from symlump.ode.system import ODE
from symlump.plan import Plan


def make_plan(
    verb: str, subject: Any, method: Any, initial: Any = None, example: Any = None, seed: int = 0
) -> Plan[Any]:
    """The plan of a method for a system, a network or a torch module.

    Parameters
    ----------
    verb : str
        Who asks, for errors.
    subject : ODE, Network, RecurrentNetwork or torch module
    method : method object
        Its own tolerance or size plays no role.
    initial : optional
        For a system, as for :func:`symlump.lump`.
    example : optional
        For a torch module, as for :func:`symlump.compress`.

    Raises
    ------
    MethodError
        If the subject is none of these, or method and options are not for its kind.
    """
    if isinstance(subject, ODE):
        if not isinstance(method, LumpingMethod):
            raise MethodError(
                f"{verb} takes Forward(), Backward() or Constrained([…]) for a system; got {method!r}"
            )
        if example is not None:
            raise MethodError("example is an input of a torch module; a system has none")
        return method.plan(subject, initial, seed=seed)
    check_network(verb, subject)
    from symlump.compression.compress import CompressionPlan, is_recurrent, recurrent_plan
    from symlump.compression.reduction import CompressionMethod

    if not isinstance(method, CompressionMethod):
        raise MethodError(
            f"{verb} takes a method of compress for a network, such as AFDE(eps=0); got {method!r}"
        )
    if initial is not None:
        raise MethodError("initial belongs to systems; a network takes box or data")
    if is_recurrent(subject):
        return recurrent_plan(subject, method, example, False)
    return CompressionPlan.of(subject, method, example)


def check_network(verb: str, subject: Any) -> None:
    """Raise if `subject` is neither a system nor a network, without loading torch for it."""
    torch = sys.modules.get("torch")
    if isinstance(subject, Network | RecurrentNetwork) or (
        torch is not None and isinstance(subject, torch.nn.Module)
    ):
        return
    of_model = "; give its .ode" if isinstance(getattr(subject, "ode", None), ODE) else ""
    if isinstance(subject, NeuralODE):
        of_model = "; give its .ode() to merge states, or its .network to merge units of the field"
    raise MethodError(
        f"{verb} takes an ODE, a torch module or a Network; got a {type(subject).__name__}{of_model}"
    )


def check_data(data: Any) -> None:
    """Raise if `data` is not a pair of inputs and targets.

    Raises
    ------
    MethodError
        With what was meant.
    """
    if data is not None and not (isinstance(data, tuple | list) and len(data) == 2):
        raise MethodError(f"data is a pair (inputs, targets); got a {type(data).__name__}")


def identify(result: Any) -> Any:
    """What decides a result of one plan: many tolerances give the same."""
    if hasattr(result, "partition"):
        return result.partition
    if hasattr(result, "unit_maps"):
        maps = tuple(units.tobytes() for units in result.unit_maps)
        return maps, result.retained_parameters, result.defect
    return len(result), result.defect
