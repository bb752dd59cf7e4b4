"""Where the solutions of a system, and the errors of its quotient, provably are."""
