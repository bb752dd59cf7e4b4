"""Data for experiments: generated from systems with known dynamics, and public sets."""
