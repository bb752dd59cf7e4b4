"""The ``.net`` files of BioNetGen."""

from symlump.formats.bionetgen.read import read_bionetgen
from symlump.formats.bionetgen.write import write_bionetgen

__all__ = ["read_bionetgen", "write_bionetgen"]
