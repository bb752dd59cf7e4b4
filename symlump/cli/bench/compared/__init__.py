"""Commands on paired runs of many methods."""
