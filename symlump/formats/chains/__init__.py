"""Markov chains in explicit files."""

from symlump.formats.chains.tra import read_tra, write_tra

__all__ = ["read_tra", "write_tra"]
