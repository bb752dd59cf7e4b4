"""Commands on systems on disk."""
