"""Compression a little at a time, with training between."""
