"""Caches that drop tokens: every step against a loop that masks what was dropped, and what is held and read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from attnprof.counting import count
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Level, Pass

N, D, HEAVY, RECENT = 40, 4, 6, 3


def made(policy: str, heads: int = 2, groups: int = 1, heavy: int = HEAVY) -> tuple[torch.nn.Module, list[Tensor]]:
    torch.manual_seed(0)
    shape = Shape(N, dim=D * heads, heads=heads, kv_heads=groups, causal=True, level=Level.CORE, dtype="float64")  # type: ignore[arg-type]
    target = door.find("evicting", params={"policy": policy, "heavy": heavy, "recent": RECENT})
    return target.build(shape), [torch.randn(1, h, N, D, dtype=torch.float64) for h in (heads, groups, groups)]


def weights_of(q: Tensor, k: Tensor, at: int, alive: list[int]) -> Tensor:
    """Softmax weights of token `at` over the tokens that are alive, `[heads, N]`; one KV head."""
    scores = torch.full((q.shape[1], N), -torch.inf, dtype=q.dtype)
    for head in range(q.shape[1]):
        for key in alive:
            scores[head, key] = q[0, head, at] @ k[0, 0, key] / D**0.5
    return scores.softmax(-1)


def run(module: torch.nn.Module, streams: list[Tensor], known: int) -> tuple[list[Tensor], list[object]]:
    """The outputs and states of all steps after a prompt of `known` tokens."""
    state, rows, states = module.prefill(*(x[:, :, :known] for x in streams)), [], []  # type: ignore[operator]
    for at in range(known, N):
        row, state = module.step(*(x[:, :, at : at + 1] for x in streams), state)  # type: ignore[operator]
        rows.append(row[0, :, 0])
        states.append(state)
    return rows, states


@pytest.mark.parametrize("known", [2, 12, 30])
def test_heavy_hitters_are_those_of_a_loop_that_masks_what_was_dropped(known: int) -> None:
    module, (q, k, v) = made("heavy")
    rows, states = run(module, [q, k, v], known)
    weight = torch.zeros(N, dtype=torch.float64)
    for at in range(known):
        weight += weights_of(q, k, at, list(range(at + 1))).sum(0)
    old = sorted(range(max(known - RECENT, 0)), key=lambda key: -float(weight[key]))
    alive = sorted(old[:HEAVY]) + list(range(max(known - RECENT, 0), known))
    for at, row, state in zip(range(known, N), rows, states, strict=True):
        alive.append(at)
        share = weights_of(q, k, at, alive)
        torch.testing.assert_close(row, share @ v[0, 0])
        weight += share.sum(0)
        if len(alive) > HEAVY + RECENT:
            alive.remove(min(alive[:-RECENT], key=lambda key: float(weight[key])))
        torch.testing.assert_close(state.k[0, 0], k[0, 0, alive])  # type: ignore[attr-defined]


def test_votes_keep_the_neighbourhoods_that_the_last_queries_look_at() -> None:
    known = 30
    module, (q, k, v) = made("votes")
    rows, _ = run(module, [q, k, v], known)
    votes = sum(weights_of(q, k, at, list(range(at + 1))).sum(0) for at in range(known - RECENT, known))
    assert isinstance(votes, Tensor)
    end = known - RECENT
    pooled = [float(votes[max(key - 3, 0) : min(key + 4, end)].max()) for key in range(end)]
    module_kept = module.prefill(*(x[:, :, :known] for x in (q, k, v))).k[0, 0]  # type: ignore[operator]
    ranked = sorted(pooled, reverse=True)
    kept = [key for key in range(end) if any(torch.equal(k[0, 0, key], row) for row in module_kept)]
    assert len(kept) == HEAVY
    assert min(pooled[key] for key in kept) >= ranked[HEAVY - 1]
    alive = kept + list(range(end, known))
    for at, row in zip(range(known, N), rows, strict=True):
        alive.append(at)
        torch.testing.assert_close(row, weights_of(q, k, at, alive) @ v[0, 0])


def test_pages_are_read_by_the_most_that_a_query_can_give_to_them() -> None:
    module, (q, k, v) = made("pages", heavy=16)
    rows, _ = run(module, [q, k, v], 18)
    for at, row in zip(range(18, N), rows, strict=True):
        own, bounds = at // 16, []
        for page in range(own):
            low, high = k[0, 0, page * 16 : page * 16 + 16].aminmax(dim=0)
            bounds.append(sum(float(torch.maximum(q[0, h, at] * low, q[0, h, at] * high).sum()) for h in range(2)))
        best = max(range(own), key=lambda page: bounds[page])
        alive = [*range(best * 16, best * 16 + 16), *range(own * 16, at + 1)]
        torch.testing.assert_close(row, weights_of(q, k, at, alive) @ v[0, 0])


def test_what_is_held_and_what_is_read_stand_apart() -> None:
    """Of 4,096 tokens of 2 KV heads of width 8 in float32: 576 and their weights; or all, and 512 with 256 ranges."""
    shape = Shape(4096, dim=32, heads=4, kv_heads=2, causal=True)
    row = 2 * 8 * 2 * 4
    kept = count(door.find("evicting"), shape, Pass.DECODE).cost
    assert kept.state_bytes == kept.decode_read_bytes == 576 * (row + 2 * 4)
    assert kept.state_growth_bytes == 0
    assert kept.flops_core_executed == kept.flops_core_useful == 4 * 577 * 32
    pages = count(door.find("evicting", params={"policy": "pages"}), shape, Pass.DECODE).cost
    ranges = 256 * row
    assert pages.state_bytes == 4096 * row + ranges
    assert pages.decode_read_bytes is not None
    assert pages.decode_read_bytes <= 514 * row + ranges
    assert pages.flops_core_executed == pages.flops_core_useful == 4 * 513 * 32
