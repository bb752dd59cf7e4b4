"""Experiments on networks that others trained and published."""
