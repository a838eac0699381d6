"""Windows, clusters and sorting: at least as fast as the public implementation that runs on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnprof.shapes import Shape
from attnprof.targets import door
from tests.bench.ratios import benchmarked, passes

pytestmark = pytest.mark.slow
DIM, HEADS = 512, 8
WIDTH = DIM // HEADS
Call = Callable[..., Tensor]
Made = tuple[Call, str, dict[str, Any], Shape]


def blocks(n: int) -> Made:
    """`local-attention`: blocks of 256 with one of look-back."""
    package = pytest.importorskip("local_attention", reason="local-attention is not installed")
    theirs = package.LocalAttention(
        dim=WIDTH, window_size=256, causal=True, look_backward=1, look_forward=0, use_rotary_pos_emb=False
    )
    return theirs, "block_local", {"look_back": 1}, Shape(n, causal=True, level="core")


def image(n: int) -> Made:
    """`local-attention` as a one-dimensional Image Transformer."""
    theirs, _, _, shape = blocks(n)
    return theirs, "image_1d", {}, shape


def longformer(n: int) -> Made:
    """The layer of `transformers`, without the output projection, which is not part of it."""
    package = pytest.importorskip(
        "transformers.models.longformer.modeling_longformer", reason="transformers is not installed"
    )
    config = package.LongformerConfig(
        hidden_size=DIM, num_attention_heads=HEADS, attention_window=[512], attention_probs_dropout_prob=0.0
    )
    layer = package.LongformerSelfAttention(config, layer_id=0)
    mask = torch.zeros(1, n)
    mask[:, 0] = 1e4
    flags = {"is_index_masked": mask < 0, "is_index_global_attn": mask > 0, "is_global_attn": True}
    return lambda x: layer(x, attention_mask=mask, **flags)[0], "longformer", {}, Shape(n)


def bigbird(n: int) -> Made:
    """The layer of `transformers`, with random blocks drawn as in training."""
    package = pytest.importorskip(
        "transformers.models.big_bird.modeling_big_bird", reason="transformers is not installed"
    )
    config = package.BigBirdConfig(
        hidden_size=DIM, num_attention_heads=HEADS, attention_probs_dropout_prob=0.0, max_position_embeddings=n
    )
    layer = package.BigBirdBlockSparseAttention(config, seed=1)
    blocked, band, rows, keys = package.BigBirdModel.create_masks_for_block_sparse_attn(torch.ones(1, n), 64)
    masks = {"band_mask": band, "from_mask": rows, "to_mask": keys}
    return (
        lambda x: layer(x, **masks, from_blocked_mask=blocked, to_blocked_mask=blocked)[0],
        "bigbird",
        {},
        Shape(n),
    )


def hashed(n: int) -> Made:
    """`reformer-pytorch`: four rounds, chunks of 64; its buckets are half as many."""
    package = pytest.importorskip("reformer_pytorch", reason="reformer-pytorch is not installed")
    layer = package.LSHAttention(bucket_size=64, n_hashes=4, causal=True)
    return lambda qk, v: layer(qk[0], v[0])[0], "reformer", {}, Shape(n, causal=True, level="core")


def reformer(n: int) -> Made:
    """The layer of `transformers`, without the output projection, which is not part of it."""
    package = pytest.importorskip(
        "transformers.models.reformer.modeling_reformer", reason="transformers is not installed"
    )
    config = package.ReformerConfig(
        hidden_size=DIM,
        num_attention_heads=HEADS,
        attention_head_size=WIDTH,
        num_hashes=4,
        is_decoder=True,
        lsh_attention_probs_dropout_prob=0.0,
        max_position_embeddings=n,
        axial_pos_embds=False,
    )
    layer = package.LSHSelfAttention(config, layer_idx=0)
    return lambda x: layer(x, num_hashes=4).hidden_states, "reformer", {}, Shape(n, causal=True)


def routed(n: int) -> Made:
    """`routing-transformer`: sqrt(n) clusters of sqrt(n) tokens."""
    package = pytest.importorskip(
        "routing_transformer.routing_transformer", reason="routing-transformer is not installed"
    )
    side = round(n**0.5)
    layer = package.KmeansAttention(side, side, HEADS, WIDTH).eval()
    layer.kmeans.initted.fill_(True)
    return lambda q, k, v: layer(q, k, v)[0], "routing", {}, Shape(n, causal=False, level="core")


def axes(n: int) -> Made:
    """`axial-attention`: rows, then columns, of a square."""
    package = pytest.importorskip("axial_attention", reason="axial-attention is not installed")
    side = round(n**0.5)
    layer = package.AxialAttention(dim=DIM, dim_index=-1, heads=HEADS, num_dimensions=2, sum_axial_out=False)
    return lambda x: layer(x.unflatten(1, (side, side))), "axial", {}, Shape(n)


def sorted_blocks(n: int) -> Made:
    """`sinkhorn-transformer`, causal (its other class takes values from keys): one block kept, unbalanced."""
    package = pytest.importorskip(
        "sinkhorn_transformer.sinkhorn_transformer", reason="sinkhorn-transformer is not installed"
    )
    layer = package.SinkhornCausalAttention(64, DIM, WIDTH, HEADS, n, n_top_buckets=1)
    return lambda q, k, v, _: layer(q, k, v), "sinkhorn", {}, Shape(n, causal=True, level="core")


def windows(n: int) -> Made:
    """Two layers of `transformers`, without their norms and FFN."""
    package = pytest.importorskip("transformers.models.swin.modeling_swin", reason="transformers is not installed")
    side = round(n**0.5)
    config = package.SwinConfig(window_size=7, qkv_bias=False, attention_probs_dropout_prob=0.0)
    config._attn_implementation = "eager"
    layers = [package.SwinLayer(config, DIM, (side, side), HEADS, shift_size=shift) for shift in (0, 3)]
    for layer in layers:
        layer.layernorm_before, layer.layernorm_after, layer.mlp = nn.Identity(), nn.Identity(), nn.Identity()

    def both(x: Tensor) -> Tensor:
        for layer in layers:
            out = layer(x, (side, side))
            x = out[0] if isinstance(out, tuple) else out
        return x

    return both, "swin", {}, Shape(n)


MAKERS = (blocks, image, longformer, bigbird, hashed, reformer, routed, axes, sorted_blocks, windows)
WITHOUT_OUTPUT = frozenset({longformer, bigbird, reformer})


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("n", [4096, 16384])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_scheme_is_as_fast_as_the_public_implementation(
    benchmark: Any, make: Callable[[int], Made], n: int, pass_: str
) -> None:
    """A tenth of noise allowed."""
    torch.manual_seed(0)
    theirs, name, params, shape = make(n)
    target = door.find(name, params=params)
    ours, inputs = target.build(shape), target.inputs(shape)
    if make in WITHOUT_OUTPUT:
        ours.out = nn.Identity()
    turns = passes(theirs, inputs, pass_), passes(ours, inputs, pass_)
    assert benchmarked(benchmark, *turns, scheme=name, n=n, pass_=pass_) >= 0.9
