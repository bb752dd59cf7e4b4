"""Units that are linear combinations of others."""
