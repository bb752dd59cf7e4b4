"""Markov chains in explicit files."""

from symlump.formats.chains.tra import PIECE, read_tra, write_tra

__all__ = ["PIECE", "read_tra", "write_tra"]
