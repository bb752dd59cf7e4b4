"""How fast linear lumping is: two published cases, growing sizes, and another program beside it."""
