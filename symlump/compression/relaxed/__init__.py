"""Any reduction of a network as a relaxed lumping: what merged, what was removed, how far from exact."""
