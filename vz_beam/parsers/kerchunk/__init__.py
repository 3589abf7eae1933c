"""What the two forms of Kerchunk references share: metadata by key, keys of chunks, URLs, and groups made of them."""
