"""Evidence that a lumping is exact, checked by code that shares nothing with the finder."""
