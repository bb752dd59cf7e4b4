"""Functions of the variables as symbols of their own: what right-hand sides that are not polynomial are made
of.
"""
