"""Which points, in which order, in which process."""
