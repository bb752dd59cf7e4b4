"""Linear lumpings y = L·x: finding, reading and proving them."""
