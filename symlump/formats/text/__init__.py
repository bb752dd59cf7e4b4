"""Models as equations in plain text."""

from symlump.formats.text.read import read_statements
from symlump.formats.text.statements import looks_like_statements
from symlump.formats.text.write import write_statements

__all__ = ["looks_like_statements", "read_statements", "write_statements"]
