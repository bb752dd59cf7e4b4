"""Units that are multiples of one another, by the symmetries of their activation."""
