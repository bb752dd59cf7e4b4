"""Linear lumpings on the command line."""
