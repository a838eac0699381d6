"""Latent, differential attention and learned sinks against Hugging Face's own, weights copied, in float64."""

from __future__ import annotations

import pytest
import torch

from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Level

pytest.importorskip("transformers")


def causal_mask(n: int, window: int | None = None) -> torch.Tensor:
    """0 where a query reads, -inf elsewhere, `[1, 1, n, n]`."""
    place = torch.arange(n)
    lag = place[:, None] - place
    seen = (lag >= 0) & (lag < (n if window is None else window))
    return torch.zeros(n, n, dtype=torch.float64).masked_fill(~seen, -torch.inf)[None, None]


@pytest.mark.parametrize("narrow", [20, None])
@pytest.mark.parametrize("n", [1, 30])
def test_latent_attention_is_that_of_deepseek_v3(n: int, narrow: int | None) -> None:
    from transformers import DeepseekV3Config
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3Attention, DeepseekV3RotaryEmbedding

    config = DeepseekV3Config(
        hidden_size=32, num_attention_heads=4, num_key_value_heads=4, q_lora_rank=narrow, kv_lora_rank=12,
        qk_rope_head_dim=4, qk_nope_head_dim=8, v_head_dim=8, attn_implementation="eager", max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = DeepseekV3Attention(config, 0).double()
    params = {"kv_latent": 12, "query_latent": narrow or 0, "rope_dim": 4}
    ours = door.find("mla", params=params).build(Shape(n, dim=32, heads=4, causal=True, dtype="float64"))  # type: ignore[arg-type]
    project = ours.project
    assert isinstance(project, torch.nn.Module)
    copies = {"down_kv": theirs.kv_a_proj_with_mqa, "up_q": theirs.q_b_proj if narrow else theirs.q_proj}
    if narrow:
        copies["down_q"] = theirs.q_a_proj
    with torch.no_grad():
        for name, source in copies.items():
            getattr(project, name).weight.copy_(source.weight)
        project.up_kv.weight.copy_(theirs.kv_b_proj.weight)  # type: ignore[union-attr, operator]
        ours.out.weight.copy_(theirs.o_proj.weight)  # type: ignore[union-attr, operator]
    x = torch.randn(2, n, 32, dtype=torch.float64)
    places = DeepseekV3RotaryEmbedding(config)(x, torch.arange(n)[None].expand(2, -1))
    expected = theirs(x, position_embeddings=tuple(p.double() for p in places), attention_mask=causal_mask(n))[0]
    torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [0, 3])
def test_differential_attention_is_that_of_diffllama(layer: int) -> None:
    """There, heads a and a + h / 2 are a pair; here, 2 a and 2 a + 1."""
    from transformers import DiffLlamaConfig
    from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention

    n, heads, d = 23, 4, 8
    config = DiffLlamaConfig(
        hidden_size=heads * d, num_attention_heads=heads, num_key_value_heads=heads, num_hidden_layers=4,
        attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = DiffLlamaAttention(config, layer).double()
    target = door.find("differential")
    shape = Shape(n, dim=heads * d, heads=heads, causal=True, level=Level.CORE, dtype="float64")  # type: ignore[arg-type]
    core = target.build(shape)
    core.layer, core.at_start = layer, theirs.lambda_init  # type: ignore[assignment]
    with torch.no_grad():
        core.q_lambda.copy_(torch.stack([theirs.lambda_q1, theirs.lambda_q2]))  # type: ignore[union-attr, operator]
        core.k_lambda.copy_(torch.stack([theirs.lambda_k1, theirs.lambda_k2]))  # type: ignore[union-attr, operator]
    x = torch.randn(2, n, heads * d, dtype=torch.float64)
    q, k, v = (to(x).view(2, n, heads, d).transpose(1, 2) for to in (theirs.q_proj, theirs.k_proj, theirs.v_proj))
    still = torch.ones(2, n, d, dtype=torch.float64), torch.zeros(2, n, d, dtype=torch.float64)
    expected = theirs(x, position_embeddings=still, attention_mask=causal_mask(n))[0]
    order = torch.tensor([0, 2, 1, 3])
    mixed = core(*(part[:, order] for part in (q, k, v)))
    found = mixed[:, torch.argsort(order)].transpose(1, 2)
    pairs = torch.cat([found[:, :, :2], found[:, :, 2:]], -1)
    assert pairs.shape == (2, n, 2, 2 * d)
    torch.testing.assert_close(theirs.o_proj(pairs.flatten(2)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_learned_sinks_are_those_of_gpt_oss(kv_heads: int) -> None:
    from transformers import GptOssConfig
    from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

    n, window = 40, 6
    target = door.find("sink_logits", params={"window": window})
    shape = Shape(n, dim=16, heads=4, kv_heads=kv_heads, causal=True, level=Level.CORE, dtype="float64")  # type: ignore[arg-type]
    core = target.build(shape)
    q, k, v = target.inputs(shape)

    class Asked(torch.nn.Module):
        num_key_value_groups = 4 // kv_heads
        sinks = core.sinks
        training = False

    assert GptOssConfig().sliding_window == 128
    mask = causal_mask(n, window)
    expected, _ = eager_attention_forward(Asked(), q, k, v, mask, scaling=4**-0.5)
    torch.testing.assert_close(core(q, k, v), expected.transpose(1, 2), rtol=1e-10, atol=1e-10)
