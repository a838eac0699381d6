"""DeepSeek's choices and compressed entries against `transformers` (5.24), weights copied, nothing rotated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnprof.shapes import Shape
from attnprof.targets import door

pytest.importorskip("transformers", reason="transformers is not installed: make oracles")
DIM, HEADS, WIDTH = 32, 4, 8
INDEX = 16  # heads: of few, all products with a key are often rectified, and keys without a score are equally good


class Still(nn.Module):
    """A rotation by no angle."""

    def forward(self, x: Tensor, position_ids: Tensor, layer_type: str = "") -> tuple[Tensor, Tensor]:
        turns = torch.ones(*position_ids.shape, 1)
        return turns, 0 * turns


def same(ours: nn.Module, theirs: Mapping[str, Tensor]) -> None:
    own = dict(ours.named_parameters())
    assert set(own) == set(theirs)
    with torch.no_grad():
        for name, value in theirs.items():
            own[name].copy_(value)


def places(bias: Tensor) -> Tensor:
    """Learned positions of two windows side by side, `[m, 2 d]`, one after the other."""
    return torch.cat(bias.chunk(2, -1))


def compressor(name: str, module: Any, overlap: bool) -> dict[str, Tensor]:
    bias = module.position_bias
    return {
        f"{name}.to_values.weight": module.kv_proj.weight,
        f"{name}.to_scores.weight": module.gate_proj.weight,
        f"{name}.places": places(bias) if overlap else bias,
        f"{name}.norm.weight": module.kv_norm.weight,
    }


@pytest.mark.parametrize("n", [1, 7, 38])
@pytest.mark.parametrize("kind", ["heavily_compressed_attention", "compressed_sparse_attention"])
def test_compressed_attention_is_that_of_deepseek_v4(kind: str, n: int) -> None:
    """There the query has a latent and a norm, and the output two projections: all of them do nothing here."""
    from transformers.models.deepseek_v4.configuration_deepseek_v4 import DeepseekV4Config
    from transformers.models.deepseek_v4.modeling_deepseek_v4 import DeepseekV4Attention

    rate, window, sparse = 4, 6, kind == "compressed_sparse_attention"
    config = DeepseekV4Config(
        hidden_size=DIM, num_attention_heads=HEADS, head_dim=WIDTH, q_lora_rank=DIM, o_groups=1,
        o_lora_rank=HEADS * WIDTH, sliding_window=window, index_n_heads=INDEX, index_head_dim=WIDTH, index_topk=3,
        num_hidden_layers=1, layer_types=[kind], compress_rates={kind: rate}, attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    theirs: Any = DeepseekV4Attention(config, 0)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    theirs.q_a_proj, theirs.q_a_norm, theirs.q_b_norm = nn.Identity(), nn.Identity(), nn.Identity()
    nn.init.eye_(theirs.o_a_proj.weight)
    inner = theirs.compressor
    inner.rotary_emb = Still()
    copied = {
        "project.to_q.weight": theirs.q_b_proj.weight,
        "project.to_kv.weight": theirs.kv_proj.weight,
        "project.norm.weight": theirs.kv_norm.weight,
        "core.sinks": theirs.sinks,
        "out.weight": theirs.o_b_proj.weight,
        **compressor("project.compress", inner, sparse),
    }
    params: dict[str, Any] = {"window": window, "rate": rate}
    if sparse:
        inner.indexer.rotary_emb = Still()
        params |= {"topk": 3, "index_heads": INDEX, "index_dim": WIDTH}
        copied |= compressor("project.index_compress", inner.indexer, overlap=True)
        copied["project.index_q.weight"] = inner.indexer.q_b_proj.weight
        copied["project.index_weights.weight"] = inner.indexer.scorer.weights_proj.weight
    shape = Shape(n, batch=2, dim=DIM, heads=HEADS, head_dim=WIDTH, causal=True)
    ours = door.find("csa" if sparse else "hca", params=params).build(shape)
    same(ours, copied)
    x, place = torch.randn(2, n, DIM), torch.arange(n)
    lag = place[:, None] - place
    mask = torch.zeros(n, n).masked_fill((lag < 0) | (lag >= window), -torch.inf).expand(2, 1, n, n)
    turns = Still()(x, place.expand(2, -1))
    if n == 1:  # a single token, which theirs takes for a step of decoding, has no entry to be masked
        assert x.shape[1] // rate == 0
    expected = theirs(x, {"main": turns, "compress": turns}, place.expand(2, -1), mask)[0]
    torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-5)


def test_tokens_are_chosen_as_by_the_indexer_of_deepseek_v3_2() -> None:
    from transformers.models.deepseek_v32.configuration_deepseek_v32 import DeepseekV32Config
    from transformers.models.deepseek_v32.modeling_deepseek_v32 import DeepseekV32Indexer

    n, topk = 40, 5
    config = DeepseekV32Config(
        hidden_size=DIM, q_lora_rank=DIM, qk_rope_head_dim=4, index_n_heads=INDEX, index_head_dim=WIDTH, index_topk=topk
    )
    torch.manual_seed(0)
    theirs: Any = DeepseekV32Indexer(config, 0)
    params = {"topk": topk, "index_heads": INDEX, "index_dim": WIDTH}
    ours: Any = door.find("dsa", params=params).build(Shape(n, dim=DIM, heads=HEADS, causal=True))
    copied = {"to_q": theirs.wq_b, "to_k": theirs.wk, "to_weights": theirs.weights_proj}
    weights = {f"{name}.weight": source.weight for name, source in copied.items()}
    same(ours.project.index, weights | {"norm.weight": theirs.k_norm.weight, "norm.bias": theirs.k_norm.bias})
    assert ours.project.index.norm.eps == theirs.k_norm.eps
    x, seen = torch.randn(2, n, DIM), torch.ones(n, n, dtype=torch.bool).tril()
    still = torch.ones(2, n, 4), torch.zeros(2, n, 4)
    expected = theirs(x, x, still, seen.expand(2, n, n), torch.arange(n)[None]).long()
    chosen, hidden = ours.core.choose(*ours.project.index(x))
    for row in range(n):
        for at in range(2):
            mine = {int(j) for j, no in zip(chosen[at, row], hidden[at, row], strict=True) if not no}
            assert mine == {int(j) for j in expected[at, row] if j <= row}, (at, row)
