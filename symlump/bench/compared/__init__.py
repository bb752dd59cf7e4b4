"""Runs of many methods that are paired: the same network, data and size for each; ranks, tables, pages."""
