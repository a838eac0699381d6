"""What pages of models tell of: a model from its config, or a stack, with the figures that the commands print."""
