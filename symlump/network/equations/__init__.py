"""The differential equation of a network, and the way back."""
