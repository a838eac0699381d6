"""Explicit softmax attention: two products and every score between them (Vaswani et al. 2017, equation 1)."""

from attnprof.layers.explicit_core import ExplicitCore, explicit_flops

Core, flops_core = ExplicitCore, explicit_flops
