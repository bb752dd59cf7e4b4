"""Every method at equal parameters, equal bytes and equal time."""
