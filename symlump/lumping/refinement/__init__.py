"""The coarsest equivalence, exactly: refinement, and the record that nothing coarser exists."""
