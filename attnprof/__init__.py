"""attnprof: what an attention scheme costs, and what it can see, as the sequence grows."""
