"""Experiments on images of digits that are trained here."""
