"""The verb that looks for a tolerance: by size, by certified error, or by loss on data."""

from __future__ import annotations

from typing import Any

from symlump.compression.compress import is_recurrent
from symlump.compression.compression import Compression
from symlump.compression.recurrent.result import RecurrentCompression
from symlump.errors import FailureError, MethodError
from symlump.lumping.linear.linear_lumping import LinearLumping
from symlump.lumping.lumping import Lumping
from symlump.memory import memory_errors
from symlump.ode.system import ODE
from symlump.plan import check_share
from symlump.tolerances.planned import check_data, identify, make_plan

_CUTTING = 20.0  # cutting the box does not make a bound so many times smaller


@memory_errors()
def search(
    subject: Any,
    method: Any,
    *,
    retain: float | None = None,
    max_bound: float | None = None,
    max_loss: float | None = None,
    box: Any = None,
    horizon: float | None = None,
    data: tuple[Any, Any] | None = None,
    initial: Any = None,
    example: Any = None,
    seed: int = 0,
) -> Lumping | LinearLumping | Compression | RecurrentCompression:
    """Reduce a system or a network at the tolerance found for the requested size, bound or loss.

    Parameters
    ----------
    subject : ODE, torch module, Network or RecurrentNetwork
    method : method object
        Any method of :func:`symlump.lump` for a system, of :func:`symlump.compress` for a network; its own ε or
        share plays no role. The costly analysis is done once.
    retain : float, optional
        The smallest ε found that keeps at most this share of the variables, or of the parameters.
    max_bound : float, optional
        The largest ε found whose certified error on ``box`` (for a system also up to ``horizon``, for a
        recurrent network over so many steps) is at most this, in the unit of the variables or outputs.
    max_loss : float, optional
        The largest ε found whose mean squared error on ``data`` is at most this. For networks.
    box : (low, high) or ndarray, shape (variables, 2) or (inputs, 2), optional
        For ``max_bound``: the initial states, or the inputs, that the bound is for.
    horizon : float, optional
        For ``max_bound``: the time up to which it holds, or the number of steps.
    data : pair of array_like or Tensor, shape (samples, …), optional
        For ``max_loss``: inputs and targets.
    initial : optional
        For a system: what must never merge, as for :func:`symlump.lump`.
    example : optional
        For a torch module with convolutions or branches, as for :func:`symlump.compress`.
    seed : int
        For a system: of the random evaluation points, which change the work and never the result.

    Returns
    -------
    Lumping, LinearLumping, Compression or RecurrentCompression

    Raises
    ------
    MethodError
        If not exactly one wish is given, or what it needs is missing.
    FailureError
        If no tolerance fulfils it.

    Examples
    --------
    >>> import symlump as sl
    >>> from symlump.datasets.systems import h_tree
    >>> print(search(h_tree(4, tolerance=0.01), sl.Backward(), retain=0.3).headline())
    15 → 4 variables by ε-backward equivalence, ε = 0.000115238 (closure), defect δ = 9.138e-05
    """
    wishes = {"retain": retain, "max_bound": max_bound, "max_loss": max_loss}
    if sum(value is not None for value in wishes.values()) != 1:
        raise MethodError(f"search takes exactly one of {', '.join(wishes)}")
    if (max_bound is None) != (box is None) or (max_loss is None) != (data is None):
        raise MethodError("max_bound goes with box, and max_loss with data; give both or neither")
    check_data(data)
    system = isinstance(subject, ODE)
    if system and (max_loss is not None or (max_bound is None) != (horizon is None)):
        raise MethodError("a system has a bound on a box up to a horizon, and no loss")
    plan = make_plan("search", subject, method, initial, example, seed)
    recurrent = not system and is_recurrent(subject)
    if recurrent and (max_bound is None) != (horizon is None):
        raise MethodError(
            "a recurrent network has a bound on a box over a horizon, a number of steps"
        )
    if not system and not recurrent and horizon is not None:
        raise MethodError("horizon belongs to systems; a network takes box or data")
    if retain is not None:
        check_share(retain)
        return plan.retain(retain)  # type: ignore[no-any-return]

    def good(result: Any) -> bool:
        if max_loss is not None:
            assert data is not None
            return bool(result.mean_squared_error(*data) <= max_loss)
        assert max_bound is not None
        try:
            if system:
                return bool(result.bound(horizon, box, samples=0).value <= max_bound)
            if recurrent:
                return bool(result.bound(horizon, box).value <= max_bound)
            quick = result.bound(box, splits=0).largest
            if quick <= max_bound or quick > _CUTTING * max_bound:
                return bool(quick <= max_bound)
            return bool(result.bound(box).largest <= max_bound)
        except FailureError:
            return False

    known: dict[Any, bool] = {}  # many tolerances merge the same

    def accepts(result: Any) -> bool:
        what = identify(result)
        if what not in known:
            known[what] = good(result)
        return known[what]

    limit = (
        f"a loss of at most {max_loss:g}" if max_bound is None else f"an error below {max_bound:g}"
    )
    return plan.largest(accepts, limit)  # type: ignore[no-any-return]
