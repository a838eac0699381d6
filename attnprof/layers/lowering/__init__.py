"""A pattern as tiles of queries and keys: what a block-sparse execution computes, table by table."""
