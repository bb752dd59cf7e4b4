"""Equivalence within a tolerance, and the nearest system that is lumped exactly."""
