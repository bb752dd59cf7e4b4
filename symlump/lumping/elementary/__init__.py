"""Forward and backward equivalence of systems whose equations contain quotients and functions."""
