"""Systems larger than memory: a planted chain, lumped under a limit set from outside."""
