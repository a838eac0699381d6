"""The parts of the pages that a reader opens."""
