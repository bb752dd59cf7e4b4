"""The report of a compression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.compression.inputs import as_parts, as_samples, predict
from symlump.compression.reduction import CompressionMethod, Reduction
from symlump.compression.report import LayerReport, LayerwiseReport
from symlump.errors import MethodError
from symlump.lumping.lumping import Lumping
from symlump.network.network import Network
from symlump.ode.exact import IntArray
from symlump.proof.certificate import Certificate

if TYPE_CHECKING:
    from pathlib import Path

    from symlump.network.bounds.difference import NetworkBound


#: Said of one number a sample.
_OF_CLASSES = "; of class numbers there is an accuracy (in sweep and report), and no loss"


@dataclass(frozen=True, eq=False, repr=False)
class Compression(LayerwiseReport):
    """A reduced model, with its tolerance, its size, its error and its proofs; printed, it is a report.

    Parameters
    ----------
    method : CompressionMethod
        Where it decided something itself, such as the unit of its tolerance, with that: ``compress(original,
        result.method)`` gives the same again.
    original : Network
    reduction : Reduction
    model : Network or torch.nn.Module
        The reduced model, of the kind that was given.

    Examples
    --------
    >>> from symlump import AFDE, Network, compress
    >>> net = Network.dense([[[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0]], [[0.5, 0.25, 1.0]]])
    >>> print(compress(net, AFDE(eps=0)))
    AFDE (influence), ε = 0: 9 → 6 parameters (66.7 % retained), exact, proof checked
    layer         units  blocks  parameters  retained
    1 (tanh)          3       2           6         4
    2 (identity)      1       1           3         2
    """

    method: CompressionMethod
    original: Network
    reduction: Reduction
    model: Any

    @property
    def network(self) -> Network:
        """The reduced network."""
        return self.reduction.network

    @property
    def unit_maps(self) -> tuple[IntArray, ...]:
        """For each hidden layer, the new unit of each old unit."""
        return self.reduction.unit_maps

    @property
    def named_unit_maps(self) -> dict[str, IntArray]:
        """The unit maps by the names of the layers; the layers of a chain are numbered from 1."""
        chain = self.original.chain is not None
        names = [
            str(number) if chain else layer.name
            for number, layer in enumerate(self.original.hidden, start=1)
        ]
        return dict(zip(names, self.unit_maps, strict=False))

    @property
    def lumpings(self) -> tuple[Lumping, ...]:
        """The lumpings behind the reduction: equations, blocks, proofs."""
        return self.reduction.lumpings

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The proofs behind the reduction, of lumpings and of identities; each can be verified on its own.

        Those of a lumping within a tolerance are about its reference system, and say so.
        """
        lumpings = tuple(lumping.certificate() for lumping in self.lumpings)
        return lumpings + self.reduction.certificates

    @property
    def _label(self) -> str:
        """Name of the method for tables."""
        return self.method.label

    @property
    def eps(self) -> float | None:
        """The tolerance that was used or found."""
        return self.reduction.eps

    @property
    def measure(self) -> str:
        """In words what ε compares, in which unit, and whether what follows was fitted."""
        return self.reduction.measure

    @property
    def rounding(self) -> float:
        """How far a weight of the result is, at most, from the exact one: it is rounded to the dtype.

        "Exact, proof checked" is about the quotient over the rationals; this is what its weights then lose.
        """
        return self.reduction.rounding

    @property
    def defect(self) -> float:
        """The defect δ: the 2-norm of what the coefficients were changed by.

        Where a method changes no equation, as linear dependence, it is the root mean square change of the
        outputs relative to their spread; ``measure`` says so.
        """
        return self.reduction.defect

    @property
    def retained_parameters(self) -> int:
        """Number of weights and biases that remain."""
        return self.reduction.retained_parameters

    @cached_property
    def exact(self) -> bool:
        """True if the independent checker accepted every lumping and identity behind the reduction."""
        proofs = self.reduction.certificates
        if not self._has_equations and not proofs:
            return False
        if self._has_equations and self.defect > 0:
            return False  # of a reference system only
        return all(
            [lumping.exact for lumping in self.lumpings]
            + [proof.check().accepted for proof in proofs]
        )

    @cached_property
    def layers(self) -> tuple[LayerReport, ...]:
        """A row for each layer: its units, its blocks and its parameters."""
        pruned, stored = not self._has_equations, self.reduction.stored
        old, new = self.original.layers, self.network.layers
        places = self.reduction.places or range(len(new))
        chain, small = self.original.chain, self.network.chain
        names = [layer.name for layer in old]
        blocks = [new[place].units for place in places]
        if chain is not None and small is not None:
            names = [f"{n} ({k.activation.name})" for n, k in enumerate(chain.layers, start=1)]
            blocks = [small.layers[place].outputs for place in places]
        left = self.network.held
        kept = [_retained(new[p], left[p], pruned) for p in places] if stored is None else stored
        return tuple(
            LayerReport(name, layer.units, count, held, retained)
            for name, layer, count, held, retained in zip(
                names, old, blocks, self.original.held, kept, strict=True
            )
        )

    @property
    def _has_equations(self) -> bool:
        return self.reduction.equations is not None

    def mean_squared_error(self, inputs: Any, targets: Any) -> float:
        """Mean squared error of the reduced network.

        Parameters
        ----------
        inputs, targets : array_like or tensor, shape (samples, …)
            A network of several inputs or outputs has a tuple of them, one for each.

        Returns
        -------
        float
            In the squared unit of the targets.

        Examples
        --------
        >>> from symlump import AFDE, compress
        >>> net = Network.dense([[[1.0], [1.0]], [[0.5, 0.5]]], activation="identity")
        >>> compress(net, AFDE(eps=0)).mean_squared_error([[1.0], [3.0]], [[1.0], [2.0]])
        0.5
        """
        return mean_squared_error(self.network, inputs, targets)

    def write(self, path: str | Path, *, packed: bool = False) -> None:
        """Write the reduced network, whole or not at all: as safetensors, ONNX, or a program of torch.

        It is ``network`` that is written, not what ``model`` became by training since.

        Parameters
        ----------
        path : path
            The suffix says what is written: .safetensors, .onnx or .pt2, and .pt of a chain of dense layers.
        packed : bool
            Store each weight in the fewest bytes that give it back exactly: see
            :mod:`symlump.network.saved.packed`, and for ONNX :func:`symlump.write_onnx`.

        Raises
        ------
        NetworkError
            If the file cannot say what the network does.
        FileFormatError
            If the suffix is unknown, or weights cannot be packed there.
        OutputError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from symlump import Quantize, compress, read_safetensors
        >>> generator = np.random.default_rng(0)
        >>> net = Network.dense([generator.normal(size=s) for s in [(64, 64), (1, 64)]], dtype="float32")
        >>> small = compress(net, Quantize(bits=4))
        >>> path = Path(tempfile.mkdtemp()) / "small.safetensors"
        >>> small.write(path, packed=True)
        >>> 4 * net.parameters, 4 * small.retained_parameters, path.stat().st_size
        (16640, 2340, 3116)
        >>> np.array_equal(read_safetensors(path).layers[0].weight, small.network.layers[0].weight)
        True
        """
        from symlump.network.saved.tensors import Packing
        from symlump.network.saved.writing import write_file

        packing = Packing(self.reduction.blocks) if packed else None
        write_file(self.network, path, packing=packing)

    def bound(self, box: Any, *, splits: int | None = None) -> NetworkBound:
        """Certified bounds of ``|original(x) − reduced(x)|`` for all inputs x of a box.

        Both are functions of real numbers: of the weights that the original had, and of those that ``model``
        holds now. They are read back from it, so training it changes the bound.

        Parameters
        ----------
        box : (low, high) or ndarray, shape (inputs, 2)
            A pair of numbers or of arrays of shape (inputs,); or one row (low, high) for each input.
        splits : int, optional
            How often to cut the box; more is tighter and slower. See
            :func:`symlump.network.bounds.difference.bound_difference`.

        Returns
        -------
        NetworkBound
            One number for each output, in the unit of the outputs.

        Raises
        ------
        NetworkError
            If bounds do not pass through a step of the network, such as a softmax.
        FailureError
            If numbers overflow on this box, or a layer written out as a matrix is too large.

        Examples
        --------
        >>> from symlump import AFDE, compress
        >>> net = Network.dense([[[1.0, 2.0], [1.1, 2.0]], [[0.5, 0.25]]])
        >>> compress(net, AFDE(eps=0.2, refit=False)).bound((-1, 1)).largest < 0.1
        True
        """
        from symlump.network.bounds.difference import bound_difference

        return bound_difference(
            self.original,
            self.reduction.held_by(self.model),
            box,
            unit_maps=self.unit_maps,
            splits=splits,
        )

    def _known(self) -> str:
        """What is known of the result, in words."""
        if self.exact:
            known = self._known_exact()
        elif self.eps == self.defect == 0 and self._has_equations:
            known = "defect 0, proof not checked (large)"
        else:
            known = f"defect δ = {self.defect:.4g}"
        return "; ".join(filter(None, (known, self._note())))

    def _note(self) -> str:
        """What was chosen among methods, what was left out, what to try next."""
        return "; ".join(filter(None, (self.reduction.note, self.reduction.advice)))

    def __str__(self) -> str:
        return super().__str__() + ("\n" + self.measure if self.eps else "")

    def _repr_html_(self) -> str:
        return super()._repr_html_() + (f"<p>{escape(self.measure)}</p>" if self.eps else "")


def mean_squared_error(network: Network, inputs: Any, targets: Any) -> float:
    """Mean of (network(inputs) − targets)² over samples and outputs.

    Parameters
    ----------
    inputs, targets : array_like or tensor, shape (samples, …)
        A network of several inputs or outputs has a tuple of them, one for each.

    Raises
    ------
    MethodError
        If they do not fit the network.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]]])
    >>> mean_squared_error(net, [[1.0, 1.0], [0.0, 0.0]], [3.0, 2.0])
    2.0
    """
    predicted = predict(network, inputs)
    shapes = [network.shapes[name] for name in network.outputs]
    parts = [as_samples(part) for part in as_parts(targets, len(shapes))]
    if len(parts) == 1 < len(shapes):  # targets of all outputs, side by side
        shapes = [predicted.shape[1:]]
    fitting = len(parts) == len(shapes) and all(
        len(part) == len(predicted)
        and part.shape[1:] in {shape, (prod(shape),), *([()] if prod(shape) == 1 else [])}
        for part, shape in zip(parts, shapes, strict=True)
    )
    if not fitting:
        given = " and ".join(str(part.shape) for part in parts)
        wanted = " and ".join(str((len(predicted), *shape)) for shape in shapes)
        raise MethodError(
            f"targets have shape {given}, the network gives {wanted}"
            + _OF_CLASSES * (len(shapes) == 1 and len(parts) == 1 and parts[0].ndim == 1)
        )
    expected = np.hstack([part.reshape(len(part), -1) for part in parts])
    if not np.isfinite(expected).all():
        raise MethodError("targets hold numbers that are not finite")
    return float(np.mean((predicted - expected) ** 2))


def _retained(layer: Any, held: int, pruned: bool) -> int:
    if not pruned or not held:  # nothing of its own
        return held
    return int(np.count_nonzero(layer.weight)) + (0 if layer.bias is None else layer.bias.size)
