"""Systems that do not fit in memory: Parquet files, and lumping as relational operations on them."""
