"""Small transformers that are trained here."""
