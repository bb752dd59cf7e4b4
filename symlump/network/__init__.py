"""Feedforward networks, and their polynomial differential equations."""
