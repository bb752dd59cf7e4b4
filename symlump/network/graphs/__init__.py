"""Networks as graphs of layers, and their differential equations."""
