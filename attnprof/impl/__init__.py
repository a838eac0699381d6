"""Ways to execute any sparse pattern as tensors."""
