"""Networks on the command line."""
