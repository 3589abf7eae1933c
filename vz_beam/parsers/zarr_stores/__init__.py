"""What the parsers of Zarr stores have in common: the keys of a store, its documents, its shards."""
