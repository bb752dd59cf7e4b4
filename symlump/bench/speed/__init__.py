"""How fast the engine and the readers are, and how their time and memory grow."""
