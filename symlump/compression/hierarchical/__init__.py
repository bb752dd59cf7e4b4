"""Hierarchical matrices with a guaranteed error, and layers made of them."""
