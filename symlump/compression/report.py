"""What the reports of compressions say alike: sizes, a line for each layer, what is known of the result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from symlump.enclosures.wording import at_most
from symlump.tables import table_html, table_text


@dataclass(frozen=True)
class LayerReport:
    """One line of the per-layer table."""

    name: str
    units: int
    blocks: int
    parameters: int
    retained_parameters: int


class CompressionReport(ABC):
    """What became of a model."""

    if TYPE_CHECKING:  # a field of every report

        @property
        def original(self) -> Any:
            """The model before."""

    @property
    @abstractmethod
    def retained_parameters(self) -> int:
        """Number of weights and biases that remain."""

    @abstractmethod
    def headline(self) -> str:
        """One line: sizes, method, what is known of the result.

        Returns
        -------
        str
        """

    @property
    def parameters(self) -> int:
        """Weights and biases before."""
        return int(self.original.parameters)

    @property
    def retained(self) -> float:
        """Share of the original's parameters that remain, from 0 to 1."""
        return self.retained_parameters / self.parameters

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.headline()}>"


class LayerwiseReport(CompressionReport):
    """What a compression by a method with one tolerance did, layer by layer."""

    if TYPE_CHECKING:  # fields of some reports, computed by others

        @property
        def network(self) -> Any:
            """The network that remains."""

        @property
        def eps(self) -> float | None:
            """The tolerance that was used or found."""

        @property
        def rounding(self) -> float:
            """How far a weight is, at most, from the exact one."""

        @property
        def measure(self) -> str:
            """In words what ε compares."""

    @property
    @abstractmethod
    def _label(self) -> str:
        """Name of the method for tables."""

    @property
    @abstractmethod
    def exact(self) -> bool:
        """True if the independent checker accepted what the reduction rests on."""

    @property
    @abstractmethod
    def defect(self) -> float:
        """How far the reduction is from an exact one."""

    @property
    @abstractmethod
    def layers(self) -> tuple[LayerReport, ...]:
        """A row for each layer: its units, its blocks and its parameters."""

    @abstractmethod
    def _known(self) -> str:
        """What is known of the result, in words."""

    def _note(self) -> str:
        """What else is to be said: what was chosen, what was left out."""
        return ""

    def _known_exact(self) -> str:
        """What is known of a result that is exact; its weights are rounded to the dtype."""
        dtype = self.network.dtype
        if dtype == "float64":
            return "exact, proof checked"
        return (
            f"exact, proof checked (the quotient over the rationals; its weights are rounded to {dtype}, "
            f"by at most {at_most(self.rounding, 2)})"
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON.

        Returns
        -------
        dict
            Sizes, the tolerance, what is known, and a dict for each layer.

        Examples
        --------
        >>> from symlump import AFDE, Network, compress
        >>> net = Network.dense([[[1.0, 2.0], [1.0, 2.0]], [[0.5, 0.25]]])
        >>> report = compress(net, AFDE(eps=0)).to_dict()
        >>> report["parameters"], report["retained_parameters"], report["exact"]
        (6, 3, True)
        """
        return {
            "method": self._label,
            "eps": self.eps,
            "parameters": self.parameters,
            "retained_parameters": self.retained_parameters,
            "retained": self.retained,
            "exact": self.exact,
            "layers": [asdict(row) for row in self.layers],
            "defect": self.defect,
            "rounding": self.rounding,
            "measure": self.measure,
            "note": self._note(),
        }

    def headline(self) -> str:
        """One line: method, sizes, what is known of the result.

        Returns
        -------
        str

        Examples
        --------
        >>> from symlump import AFDE, Network, compress
        >>> compress(Network.dense([[[1.0, 2.0], [1.0, 2.0]], [[0.5, 0.25]]]), AFDE(eps=0)).headline()
        'AFDE (influence), ε = 0: 6 → 3 parameters (50.0 % retained), exact, proof checked'
        """
        eps = "" if self.eps is None else f", ε = {self.eps:.6g}"
        return (
            f"{self._label}{eps}: {self.parameters} → {self.retained_parameters} parameters "
            f"({100 * self.retained:.1f} % retained), {self._known()}"
        )

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Header and rows of the per-layer table."""
        return ("layer", "units", "blocks", "parameters", "retained"), [
            (r.name, str(r.units), str(r.blocks), str(r.parameters), str(r.retained_parameters))
            for r in self.layers
        ]

    def __str__(self) -> str:
        return self.headline() + "\n" + table_text(*self._table())

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.headline())}</p>" + table_html(*self._table())
