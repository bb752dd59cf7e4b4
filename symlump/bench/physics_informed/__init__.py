"""Physics-informed networks, compressed and trained further."""
