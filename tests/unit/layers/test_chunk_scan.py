"""The chunk scan keeps its head where gates are extreme and sequences long, in float32 as in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attnprof.layers.carry import carried, corrected
from attnprof.layers.chunk_scan import Reads, chunk_size, decayed, dplr, fades, in_chunks, pair_weights
from attnprof.layers.chunk_scan import corrected as delta
from attnprof.layers.recurrence_definition import by_token, delta_by_token
from attnprof.layers.recurrent import unit

LONG, RESET, AFTER = 65536, 65000, 100
GATES = torch.tensor([0.0, -1e-6, -0.01, -1.0, -20.0, -5000.0], dtype=torch.float64)
Scan = Callable[..., Tensor]


def streams(n: int, channels: int) -> tuple[Tensor, ...]:
    """q, k of length 1, v, beta and log gates that span all magnitudes, the past forgotten before `RESET`."""
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 1, n, 6, dtype=torch.float64).unbind(0)
    g = GATES[torch.randint(len(GATES), (1, 1, n, channels))]
    beta = torch.rand(1, 1, n, 1, dtype=torch.float64)
    if n > RESET:  # where nothing is corrected either: a DPLR correction reads what its own gate forgets
        g[:, :, RESET], beta[:, :, RESET] = -5000.0, 0.0
    return unit(q), unit(k), v, beta, g


def of_decay(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
    return decayed(*in_chunks(64, q, k, v, g)).flatten(2, 3)


def of_delta(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
    return delta(*in_chunks(64, q, k, v, beta, g)).flatten(2, 3)


def of_dplr(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
    return dplr(*in_chunks(64, q, k, v, -k, beta * k, g.expand_as(k))).flatten(2, 3)


def token_by_token(scan: Scan, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
    if scan is of_decay:
        return by_token(q, k, v, g)
    return delta_by_token(q, k, v, beta, g) if scan is of_delta else by_token(q, k, v, g, -k, beta * k)


@pytest.mark.parametrize("channels", [1, 6], ids=["gates of heads", "gates of channels"])
@pytest.mark.parametrize("scan", [of_decay, of_delta, of_dplr])
def test_extreme_gates_are_safe_at_64k(scan: Scan, channels: int) -> None:
    """What follows a gate that forgets everything is the sequence that begins there; rounding does not add up."""
    every = streams(LONG, channels)
    suffix = tuple(x[:, :, RESET : RESET + AFTER] for x in every)
    expected = token_by_token(scan, *suffix)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        leaves = [x.to(dtype).requires_grad_() for x in every]
        out = scan(*leaves)
        assert out.isfinite().all()
        torch.testing.assert_close(out[:, :, RESET : RESET + AFTER].double(), expected, rtol=0, atol=tolerance)
        grads = torch.autograd.grad(out.square().sum(), leaves, allow_unused=True)
        assert all(grad is None or grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("scan", [of_decay, of_delta, of_dplr])
def test_extreme_gates_have_the_gradients_of_the_definition(scan: Scan) -> None:
    leaves = [x.requires_grad_() for x in streams(100, 6)]
    mixed, expected = scan(*leaves)[:, :, :100], token_by_token(scan, *leaves)
    used = leaves if scan is not of_decay else [*leaves[:3], leaves[4]]
    ours, theirs = (torch.autograd.grad(out.sin().sum(), used) for out in (mixed, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_a_weight_spans_from_the_key_to_the_query() -> None:
    """g of rows j + 1 to i: with every gate its own power of two, each sum names its rows."""
    g = -torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)[:, None]
    spans = [[-sum(2.0**t for t in range(j + 1, i + 1)) for j in range(4)] for i in range(4)]
    expected = torch.tensor(spans, dtype=torch.float64).exp().tril()
    ones = torch.ones_like(g)
    ((inclusive,), (exclusive,)) = pair_weights([Reads(ones, True), Reads(ones, False)], [ones], g).weights
    torch.testing.assert_close(fades(g).between, expected)
    torch.testing.assert_close(inclusive, expected)
    torch.testing.assert_close(exclusive, (expected / g.exp()).tril(-1))


@pytest.mark.parametrize(
    ("chunk", "n", "size"), [(64, 1000, 64), (64, 37, 64), (64, 1, 1), (48, 1000, 64), (4096, 100, 128)]
)
def test_a_chunk_is_a_power_of_two_and_no_longer_than_it_must(chunk: int, n: int, size: int) -> None:
    assert chunk_size(chunk, n) == size


@pytest.mark.parametrize("adds", [False, True])
def test_the_operators_have_their_gradients(adds: bool) -> None:
    torch.manual_seed(0)
    decay, added = torch.rand(1, 2, 3, 4, 1).double(), torch.randn(2, 2, 3, 4, 5).double()
    reads, writes = torch.randn(2, 2, 2, 3, 6, 4).double().unbind(0)
    fresh = torch.randn(2, 2, 3, 6, 5).double()
    leaves = [x.requires_grad_() for x in (decay, added, reads, writes, fresh)]
    assert torch.autograd.gradcheck(carried, leaves[:2])
    if adds:
        assert torch.autograd.gradcheck(corrected, leaves)
        return
    assert torch.autograd.gradcheck(lambda d, *rest: corrected(d, None, *rest), [leaves[0], *leaves[2:]])
