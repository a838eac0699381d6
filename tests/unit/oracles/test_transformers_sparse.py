"""Longformer, BigBird, Reformer, Swin and Switch against the transformers package."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.experts import SwitchFeedForward
from attnprof.layers.gathered import GatherCore
from attnprof.pattern import BlockTable, Pattern
from attnprof.shapes import Shape
from attnprof.targets import door

pytest.importorskip("transformers", reason="the transformers package is an oracle for tests only")

N, DIM, HEADS = 64, 16, 2
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def layer(name: str, shape: Shape, **params: object) -> nn.Module:
    """An attention layer whose output projection changes nothing."""
    module = door.find(name, params=params).build(shape)  # type: ignore[arg-type]
    for part in module.modules():
        if hasattr(part, "out"):
            nn.init.eye_(part.out.weight)
    return module


def copied(ours: nn.Linear, theirs: nn.Linear) -> None:
    """The same matrix on both sides; theirs has no bias."""
    theirs.weight.data.copy_(ours.weight)
    if theirs.bias is not None:
        nn.init.zeros_(theirs.bias)


def test_longformer_has_the_same_window_and_global_tokens() -> None:
    from transformers import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    config = LongformerConfig(
        hidden_size=DIM, num_attention_heads=HEADS, attention_window=[16], attention_probs_dropout_prob=0.0
    )
    theirs = LongformerSelfAttention(config, layer_id=0).eval()
    ours = layer("longformer", Shape(N, batch=2, dim=DIM, heads=HEADS), window=16, global_tokens=2)
    for side, suffix in ((ours.project.near, ""), (ours.project.far, "_global")):
        for mine, name in ((side.to_q, "query"), (side.to_k, "key"), (side.to_v, "value")):
            copied(mine, getattr(theirs, name + suffix))
    x = torch.randn(2, N, DIM)
    mask = torch.zeros(2, N)
    mask[:, :2] = 1e4
    hers = theirs(
        x,
        attention_mask=mask,
        is_index_masked=mask < 0,
        is_index_global_attn=mask > 0,
        is_global_attn=True,
    )[0]
    torch.testing.assert_close(ours(x), hers, **CLOSE)


def test_bigbird_blocks_give_the_same_output_for_the_same_random_plan() -> None:
    from transformers import BigBirdConfig
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention, BigBirdModel

    n, block, picks = 192, 16, 3
    config = BigBirdConfig(
        hidden_size=DIM,
        num_attention_heads=HEADS,
        block_size=block,
        num_random_blocks=picks,
        attention_probs_dropout_prob=0.0,
        use_bias=False,
    )
    theirs = BigBirdBlockSparseAttention(config, seed=3).train()
    masks = BigBirdModel.create_masks_for_block_sparse_attn(torch.ones(2, n), block)
    x = torch.randn(2, n, DIM)
    hers = theirs(
        x,
        band_mask=masks[1],
        from_mask=masks[2],
        to_mask=masks[3],
        from_blocked_mask=masks[0],
        to_blocked_mask=masks[0],
    )
    streams = [part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (theirs.query, theirs.key, theirs.value)]
    tables = block_tables(theirs, n, block, picks)
    pattern = Pattern("plan", n, False, lambda at, head: tables[head], heads=HEADS)
    core = GatherCore(Spec(Shape(n, batch=2, dim=DIM, heads=HEADS), {}, pattern, "gather"))
    ours = core(*streams).transpose(1, 2).flatten(2)
    torch.testing.assert_close(ours, hers[0].reshape_as(ours), **CLOSE)


def block_tables(module: nn.Module, n: int, block: int, picks: int) -> list[BlockTable]:
    """What each head reads: window, first and last block, and the blocks that the module has drawn."""
    np.random.seed(module.seed)  # noqa: NPY002 - the module draws from this generator
    length, count = module._get_rand_attn_plan(n, block, picks)
    drawn = module._bigbird_block_rand_mask_with_head(n, n, block, block, HEADS, length, count)
    blocks = n // block
    found = []
    for plan in drawn:
        rows = np.full((blocks, 8), -1)
        for at in range(1, blocks - 1):
            read = {0, blocks - 1, at - 1, at, at + 1, *np.asarray(plan[at - 1]).tolist()}
            rows[at, : len(read)] = sorted(read)
        found.append(BlockTable(block, rows, full=(0, blocks - 1)))
    return found


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both-ways"])
def test_reformer_mixes_the_same_from_the_same_buckets(rounds: int, causal: bool) -> None:
    from transformers import ReformerConfig
    from transformers.models.reformer.modeling_reformer import LSHSelfAttention

    config = ReformerConfig(
        hidden_size=DIM,
        num_attention_heads=HEADS,
        attention_head_size=DIM // HEADS,
        lsh_attn_chunk_length=8,
        num_hashes=rounds,
        num_buckets=8,
        is_decoder=causal,
        hash_seed=0,
        lsh_attention_probs_dropout_prob=0.0,
        lsh_num_chunks_after=0,
    )
    theirs = LSHSelfAttention(config, layer_idx=0).eval().double()
    shape = Shape(N, batch=2, dim=DIM, heads=HEADS, causal=causal, dtype="float64")
    ours = layer("reformer", shape, chunk=8, hashes=rounds, buckets=8)
    copied(ours.project.to_qk, theirs.query_key)
    copied(ours.project.to_v, theirs.value)
    x = torch.randn(2, N, DIM, dtype=torch.float64)
    hers = theirs(x, num_hashes=rounds)
    offsets = 8 * torch.arange(rounds)
    ours.core.buckets = lambda qk: hers.buckets.view(2, HEADS, rounds, N).transpose(2, 3) - offsets
    torch.testing.assert_close(ours(x), hers.hidden_states, **CLOSE)


@pytest.mark.parametrize("at", [0, 1], ids=["windows", "moved"])
def test_swin_has_the_same_windows_bias_and_mask(at: int) -> None:
    from transformers import SwinConfig
    from transformers.models.swin.modeling_swin import SwinLayer

    side, window = 12, 4
    config = SwinConfig(window_size=window, qkv_bias=False, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    config._attn_implementation = "eager"
    theirs = SwinLayer(config, DIM, (side, side), HEADS, shift_size=at * (window // 2)).eval()
    theirs.layernorm_before, theirs.mlp = nn.Identity(), nn.Identity()
    theirs.layernorm_after = Nothing()
    ours = layer("swin", Shape(side**2, batch=2, dim=DIM, heads=HEADS), window=window)[at]
    nn.init.eye_(theirs.attention.o_proj.weight)
    nn.init.zeros_(theirs.attention.o_proj.bias)
    theirs.attention.relative_position_bias.relative_position_bias_table.data.copy_(ours.core.bias)
    pairs = ((ours.project.to_q, "q_proj"), (ours.project.to_k, "k_proj"), (ours.project.to_v, "v_proj"))
    for mine, name in pairs:
        copied(mine, getattr(theirs.attention, name))
    x = torch.randn(2, side**2, DIM)
    hers = theirs(x, (side, side))
    torch.testing.assert_close(ours(x), (hers[0] if isinstance(hers, tuple) else hers) - x, **CLOSE)


class Nothing(nn.Module):
    """No FFN: only the attention of the layer is left."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def test_swin_merges_patches_the_same_way() -> None:
    from transformers.models.swin.modeling_swin import SwinPatchMerging

    from attnprof.schemes.swin import PatchMerging

    theirs, ours = SwinPatchMerging(DIM), PatchMerging(DIM, 5, 7)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 35, DIM)
    torch.testing.assert_close(ours(x), theirs(x, (5, 7)), **CLOSE)


def test_switch_routes_drops_and_weighs_the_same_tokens() -> None:
    from transformers import SwitchTransformersConfig
    from transformers.models.switch_transformers.modeling_switch_transformers import SwitchTransformersSparseMLP

    experts, capacity = 4, 12
    config = SwitchTransformersConfig(
        d_model=DIM, d_ff=2 * DIM, num_experts=experts, expert_capacity=capacity, dropout_rate=0.0
    )
    theirs, ours = SwitchTransformersSparseMLP(config).eval(), SwitchFeedForward(N, DIM, 2 * DIM, experts, 0.75)
    assert ours.capacity == capacity
    nn.init.normal_(theirs.router.classifier.weight)
    ours.router.weight.data.copy_(theirs.router.classifier.weight)
    for at in range(experts):
        expert = theirs.experts[f"expert_{at}"]
        ours.inner.data[at].copy_(expert.wi.weight.T)
        ours.outer.data[at].copy_(expert.wo.weight.T)
    x = torch.randn(2, N, DIM)
    out = ours(x)
    assert (out == 0).all(-1).any()
    torch.testing.assert_close(out, theirs(x), **CLOSE)
