"""What all that executes edges is held to: a softmax over a pattern's edges, each of them asked for by itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from attnprof.contracts import Spec
from attnprof.layers.softmax import softmax_attention
from attnprof.pattern import Pattern


def softmax_over_edges(spec: Spec, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`: head a reads the edges of head a modulo the pattern's heads."""
    assert spec.pattern is not None, "there are no edges"
    masks = [edges(spec.pattern, spec.layer, head % spec.pattern.heads) for head in range(q.shape[1])]
    return softmax_attention(q, k, v, torch.as_tensor(np.stack(masks), device=q.device))


def edges(pattern: Pattern, layer: int, head: int) -> np.ndarray:
    """True where query i reads key j, `[n, n]`: by the rule of the pattern, or, where it has none, edge by edge."""
    n, expr = pattern.n, pattern.expr(layer, head)
    rule = expr.rule(np.arange(n)[:, None], np.arange(n))
    if rule is not None:
        return np.broadcast_to(rule, (n, n)).astype(np.bool_)
    found = np.zeros((n, n), dtype=np.bool_)
    starts, keys = expr.slices(n).csr()
    found[np.repeat(np.arange(n), np.diff(starts)), keys] = True
    return found
