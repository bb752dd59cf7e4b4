"""Rows of experiments, kept as text in a folder."""
