"""Bounds of very many networks, attacked."""
