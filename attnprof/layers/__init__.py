"""What schemes share as torch modules: projections, the attention layer around a core, tables."""
