"""Linear recurrences as they are defined, one token after the other: the oracle of every way to compute them."""

from __future__ import annotations

import torch
from torch import Tensor


def by_token(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, removed: Tensor | None = None, put: Tensor | None = None
) -> Tensor:
    """S_t = diag(e^g_t) S_(t-1) + put_t (removed_t^T S_(t-1)) + k_t v_t^T from S_0 = 0; o_t = q_t^T S_t.

    `q, k, removed, put [b, g, n, d_k]` of as many or fewer heads, `g [b, h, n, 1 or d_k]`, `v [b, h, n, d_v]`.
    """
    q, k = (x.repeat_interleave(v.shape[1] // x.shape[1], 1) for x in (q, k))
    state = torch.zeros_like(k[:, :, 0, :, None] * v[:, :, 0, None, :])
    out = []
    rows = zip(q.unbind(2), k.unbind(2), v.unbind(2), g.exp().unbind(2), strict=True)
    corrections = None if removed is None or put is None else list(zip(removed.unbind(2), put.unbind(2), strict=True))
    for t, (q_t, k_t, v_t, kept) in enumerate(rows):
        fresh = torch.einsum("bhi,bhj->bhij", k_t, v_t)
        if corrections is not None:
            removed_t, put_t = corrections[t]
            read = torch.einsum("bhi,bhij->bhj", removed_t, state)
            fresh = fresh + torch.einsum("bhi,bhj->bhij", put_t, read)
        state = kept[..., None] * state + fresh
        out.append(torch.einsum("bhi,bhij->bhj", q_t, state))
    return torch.stack(out, 2)


def delta_by_token(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
    """The gated delta rule: S_t = (I - beta_t k_t k_t^T) diag(e^g_t) S_(t-1) + beta_t k_t v_t^T."""
    k = k.repeat_interleave(v.shape[1] // k.shape[1], 1)
    return by_token(q, beta * k, v, g, g.exp() * k, -beta * k)
