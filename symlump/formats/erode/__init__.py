"""The ``.ode`` files of ERODE."""

from symlump.formats.erode.read import read_erode
from symlump.formats.erode.write import write_erode

__all__ = ["read_erode", "write_erode"]
