"""The BlockMask of every pattern, its partial tiles filled by its mask_mod, is the pattern: every layer, head, seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from attnprof.layers.flex_kernel import block_mask
from attnprof.shapes import Shape
from attnprof.targets import catalog
from attnprof.targets.scheme import CatalogTarget
from tests.laws.cases import small, variants

HEADS, TILE = 3, 32
CASES = [
    pytest.param(name, causal, {**small(name), **variant}, id=f"{name}-{causal}-{variant}")
    for name in catalog.names()
    if "flex" in catalog.able(name, catalog.card(name))
    for variant in ({}, *variants(name))
    for causal in catalog.card(name).causality
]


def expanded(mask: object, n: int) -> Tensor:
    """The mask `[heads, n, n]` that a kernel computes: full tiles, and in partial ones the rule."""
    counts, indices = mask.kv_num_blocks[0], mask.kv_indices[0]  # type: ignore[attr-defined]
    full_counts, full_indices = mask.full_kv_num_blocks[0], mask.full_kv_indices[0]  # type: ignore[attr-defined]
    heads, tiles = counts.shape
    i, j = torch.arange(n)[:, None], torch.arange(n)
    kept = torch.zeros(heads, tiles * TILE, tiles * TILE, dtype=torch.bool)
    for head in range(heads):
        rule = mask.mask_mod(torch.tensor(0), torch.tensor(head), i, j).expand(n, n)  # type: ignore[attr-defined]
        for row in range(tiles):
            rows = slice(row * TILE, (row + 1) * TILE)
            for column in full_indices[head, row, : full_counts[head, row]].tolist():
                kept[head, rows, column * TILE : (column + 1) * TILE] = True
            for column in indices[head, row, : counts[head, row]].tolist():
                columns = slice(column * TILE, (column + 1) * TILE)
                part = rule[rows, columns]
                kept[head, rows, columns][: part.shape[0], : part.shape[1]] = part
    return kept[:, :n, :n]


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize(("name", "causal", "params"), CASES)
def test_a_block_mask_is_the_pattern(name: str, causal: bool, params: dict[str, object], seed: int) -> None:
    n = 100
    target = CatalogTarget.of(catalog.entry(name), params, None)  # type: ignore[arg-type]
    pattern = target.graph(Shape(n, causal=causal, heads=HEADS, dim=8 * HEADS, seed=seed))
    for layer in range(pattern.layers):
        mask = block_mask([pattern.expr(layer, head) for head in range(HEADS)], n, TILE)
        dense = torch.stack([torch.as_tensor(pattern.dense(layer, head)) for head in range(HEADS)])
        assert torch.equal(expanded(mask, n), dense)
