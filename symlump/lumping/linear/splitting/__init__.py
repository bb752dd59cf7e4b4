"""How an invariant row space splits: what the hierarchy of linear lumpings stands on."""
