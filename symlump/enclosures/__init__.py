"""Arithmetic that never claims more than is true: intervals of arrays, rounded outward, and what they say."""
