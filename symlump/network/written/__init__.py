"""How a network is written as a module of torch."""
