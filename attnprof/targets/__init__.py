"""A user's own module or attention function as a target: made, laid out, probed, and labelled by what was seen."""
