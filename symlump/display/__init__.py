"""Results to look at: tables and pictures."""
