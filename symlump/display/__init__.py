"""Results for people to look at: tables and pictures."""
