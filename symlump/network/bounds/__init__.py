"""Certified bounds of the difference of two networks."""
