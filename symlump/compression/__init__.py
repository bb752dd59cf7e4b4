"""Whole-network compression: every method behind one verb."""
