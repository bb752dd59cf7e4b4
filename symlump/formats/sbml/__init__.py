"""SBML files."""

from symlump.formats.sbml.read import read_sbml
from symlump.formats.sbml.write import write_sbml

__all__ = ["read_sbml", "write_sbml"]
