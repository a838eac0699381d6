"""Whole public models, and blocks of them, as their users name them: `docs/modules.md` lists them with the classes."""

from __future__ import annotations

from typing import Any

from tests.fakes.public_classes import PublicClass


def keys(**given: Any) -> str:
    """The options that give keys of a config."""
    return " ".join(f"--config-arg {name}={value}" for name, value in given.items())


def arguments(**given: Any) -> str:
    """The options that give arguments of a constructor."""
    return " ".join(f"--arg {name}={value}" for name, value in given.items())


def hub(name: str, causal: bool | None = True, heads: bool = True, flops_beside: int = 0, **more: Any) -> PublicClass:
    """A model that transformers exports, with two layers and a small vocabulary; `heads`: it takes that flag."""
    small = {"num_hidden_layers": 2, "vocab_size": 100, "intermediate_size": 64}
    kept = {key: value for key, value in {**small, **more}.items() if value is not None}
    return PublicClass(f"transformers:{name}", keys(**kept), causal=causal, heads=heads)


MODELS = (
    hub("Qwen2Model"),
    hub("Qwen3Model"),
    hub("GemmaModel", head_dim=16),
    hub("Gemma2Model", head_dim=16, query_pre_attn_scalar=16),
    hub("PhiModel"),
    hub("GPTNeoXModel"),
    hub("OlmoModel"),
    hub("Olmo2Model"),
    hub("StableLmModel"),
    hub("GraniteModel"),
    hub("CohereModel"),
    hub("Phi3Model", pad_token_id=0),
    hub("OPTModel", intermediate_size=None, ffn_dim=64, word_embed_proj_dim=64),
    hub("FalconModel", intermediate_size=None),
    hub("MptModel", num_hidden_layers=None, intermediate_size=None, n_layers=2),
    hub("BloomModel", num_hidden_layers=None, intermediate_size=None, n_layer=2),
    hub("MambaModel", heads=False, intermediate_size=None),
    hub("Mamba2Model", heads=False, intermediate_size=None, num_heads=8, head_dim=16, state_size=16, n_groups=1),
    hub("RobertaModel", causal=False),
    hub("ElectraModel", causal=False, embedding_size=64),
    hub("AlbertModel", causal=False, embedding_size=64),
    hub("NystromformerModel", causal=False, segment_means_seq_len="{n}", num_landmarks=16),
    PublicClass("transformers:DistilBertModel", keys(n_layers=2, vocab_size=100, dim=64, hidden_dim=64, n_heads=4)),
    PublicClass("transformers:T5EncoderModel", keys(num_layers=2, vocab_size=100, d_kv=16, d_ff=64)),
    PublicClass("diffusers.models.attention_processor:Attention", arguments(query_dim=64, heads=4, dim_head=16)),
    PublicClass("diffusers.models.attention:BasicTransformerBlock", arguments(attention_head_dim=16)),
    PublicClass("nystrom_attention:NystromAttention", arguments(num_landmarks=16, dim_head=16)),
    PublicClass("nystrom_attention:Nystromformer", arguments(depth=2, num_landmarks=16, dim_head=16)),
    PublicClass("x_transformers:Encoder", arguments(dim=64, depth=2, heads=4)),
    PublicClass("x_transformers:Decoder", arguments(dim=64, depth=2, heads=4), causal=True),
    PublicClass("x_transformers.x_transformers:Attention", arguments(dim=64, heads=4)),
    PublicClass("linformer:Linformer", arguments(seq_len="{n}", depth=2)),
    PublicClass("performer_pytorch:Performer", arguments(depth=2, dim_head=16)),
    PublicClass("sinkhorn_transformer:SinkhornTransformer", arguments(depth=1, bucket_size=16, max_seq_len="{n}")),
)
