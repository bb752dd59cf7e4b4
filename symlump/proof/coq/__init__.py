"""Certificates for Coq, which knows nothing of symlump."""
