"""Recurrent cells and vector fields given by networks: the dynamical systems they are."""
