"""What layers are made of, from sizes: the matrices of attentions, recurrences and feed-forward parts, counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attnprof.models.architecture import (
    Architecture,
    FeedForwardSizes,
    IndexerSizes,
    LatentWidths,
    ModelLayer,
    RecurrentMixer,
    SoftmaxMixer,
)
from attnprof.models.model_config import ModelConfig

FULL, WINDOW, CHUNK, LINEAR = "full_attention", "sliding_attention", "chunked_attention", "linear_attention"
CONV = "conv"
DENSE, SPARSE = "dense", "sparse"


def every(period: int, count: int, last: str, others: str) -> list[str]:
    """`count` words: `last` at every `period`-th place, `others` elsewhere; the last period is cut, not filled."""
    return [last if (i + 1) % period == 0 else others for i in range(count)]


def grouped(
    config: ModelConfig,
    *,
    window: int | None = None,
    chunk: int | None = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    v_head_dim: int | None = None,
    width: int | None = None,
    gate: int = 0,
    head_norms: int = 0,
    vectors: int = 0,
    bias: bool = False,
    out_bias: bool | None = None,
    own_cache: bool = True,
    values_are_keys: bool = False,
    causal: bool = True,
) -> SoftmaxMixer:
    """Attention with grouped queries: q, k, v and output matrices, and a gate of `gate` columns.

    `width` is that of what enters, where it is not D; `head_norms` counts norms of one head's width; without
    `own_cache` a layer reads another's keys and values, and has no matrices for them; with `values_are_keys` one matrix
    makes both (they are still two in the cache); a layer that is not `causal` keeps nothing.
    """
    d_in, d_out = width or config.dim, config.dim
    h = heads or config.size("num_attention_heads")
    g = kv_heads or config.size("num_key_value_heads", h)
    d = head_dim or config.size("head_dim", config.dim // h)
    dv = v_head_dim or d
    keys = g * (d + dv) if own_cache else 0
    made = keys - g * dv if own_cache and values_are_keys else keys
    biases = (h * d + made if bias else 0) + (d_out if (bias if out_bias is None else out_bias) else 0)
    return SoftmaxMixer(
        heads=h,
        kv_heads=g,
        head_dim=d,
        v_head_dim=dv,
        weights=d_in * (h * d + made + gate) + h * dv * d_out,
        vectors=head_norms * d + biases + vectors,
        kv_width=keys if causal else 0,
        window=window,
        chunk=chunk,
        causal=causal,
    )


def latent(
    config: ModelConfig, *, indexer: IndexerSizes | None = None, gate: int = 0, vectors: int = 0
) -> SoftmaxMixer:
    """Multi-head latent attention (DeepSeek-V2, section 2.1), with an indexer if one is given, and a gate."""
    dim, h = config.dim, config.size("num_attention_heads")
    nope, rope = config.size("qk_nope_head_dim"), config.size("qk_rope_head_dim")
    dv, rank, q_rank = config.size("v_head_dim"), config.size("kv_lora_rank"), config.maybe("q_lora_rank")
    queries = h * (nope + rope)
    weights = dim * queries if q_rank is None else dim * q_rank + q_rank * queries
    weights += dim * (rank + rope) + rank * h * (nope + dv) + h * dv * dim + dim * gate
    norms = (q_rank or 0) + rank
    if config.flag("attention_bias"):
        norms += (q_rank or 0) + rank + rope + dim
    index_width = 0
    if indexer is not None and indexer.scored:
        weights += (q_rank or dim) * indexer.heads * indexer.dim + dim * indexer.dim + dim * indexer.heads
        norms += 2 * indexer.dim
        index_width = indexer.dim
    return SoftmaxMixer(
        heads=h,
        kv_heads=h,
        head_dim=nope + rope,
        v_head_dim=dv,
        weights=weights,
        vectors=norms + vectors,
        kv_width=rank + rope + index_width,
        indexer=indexer,
        latent=LatentWidths(rank, rope),
    )


def gated_delta(
    dim: int, *, key_heads: int, value_heads: int, key_dim: int, value_dim: int, kernel: int, decay_heads: int = 2
) -> RecurrentMixer:
    """Gated DeltaNet: q, k, v, an output gate, a decay and a step a head, a short convolution on q, k, v, the output.

    Its recurrence takes three products with the state, 6·d_k·d_v FLOPs a value head and token.
    """
    keys, values = key_heads * key_dim, value_heads * value_dim
    return RecurrentMixer(
        kind="gated_deltanet",
        heads=value_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=dim * (2 * keys + 2 * values + decay_heads * value_heads) + values * dim,
        vectors=2 * value_heads + value_dim,
        flops=6 * value_heads * key_dim * value_dim,
        conv_kernel=kernel,
        conv_channels=2 * keys + values,
        chunk=64,
    )


def delta_with_channel_gates(dim: int, *, heads: int, head_dim: int, kernel: int, gates: int) -> RecurrentMixer:
    """Kimi Delta Attention: as Gated DeltaNet, with a decay a channel; `gates` are the weights of its two gates."""
    width = heads * head_dim
    return RecurrentMixer(
        kind="kda",
        heads=heads,
        key_dim=head_dim,
        value_dim=head_dim,
        weights=3 * dim * width + gates + dim * heads + width * dim,
        vectors=width + heads + head_dim,
        flops=6 * heads * head_dim * head_dim,
        conv_kernel=kernel,
        conv_channels=3 * width,
        chunk=64,
    )


def mamba1(
    dim: int, *, inner: int, state: int, rank: int, kernel: int, norms: bool = False, conv_bias: bool, bias: bool
) -> RecurrentMixer:
    """Mamba-1: gate and x in, B, C and a step of low rank from x, a matrix out; with `norms` of B, C and the step."""
    biases = (inner if conv_bias else 0) + (2 * inner + dim if bias else 0)
    return RecurrentMixer(
        kind="mamba1",
        heads=1,
        key_dim=state,
        value_dim=inner,
        weights=2 * dim * inner + inner * (rank + 2 * state) + rank * inner + inner * dim,
        vectors=inner * state + 2 * inner + (rank + 2 * state if norms else 0) + biases,
        flops=4 * inner * state,
        conv_kernel=kernel,
        conv_channels=inner,
    )


def mamba2(
    dim: int,
    *,
    heads: int,
    head_dim: int,
    state: int,
    groups: int,
    kernel: int,
    chunk: int | None = None,
    conv_bias: bool = True,
    bias: bool = False,
    norm: bool = True,
) -> RecurrentMixer:
    """Mamba-2: one matrix in (gate, x, B, C, dt), a convolution on x, B and C, one matrix out; 4·p·N FLOPs a head."""
    inner, grouped_states = heads * head_dim, 2 * groups * state
    into = 2 * inner + grouped_states + heads
    channels = inner + grouped_states
    biases = (channels if conv_bias else 0) + (into + dim if bias else 0)
    return RecurrentMixer(
        kind="mamba2",
        heads=heads,
        key_dim=state,
        value_dim=head_dim,
        weights=dim * into + inner * dim,
        vectors=3 * heads + (inner if norm else 0) + biases,
        flops=4 * heads * head_dim * state,
        conv_kernel=kernel,
        conv_channels=channels,
        chunk=chunk,
    )


def glu(config: ModelConfig, width: int, *, vectors: int = 0) -> FeedForwardSizes:
    """A gated FFN: three matrices of D × width."""
    return FeedForwardSizes(kind="glu", width=width, always=3 * config.dim * width, vectors=vectors)


def experts(
    config: ModelConfig,
    *,
    width: int,
    count: int,
    active: int,
    shared_width: int = 0,
    shared_gate: int = 0,
    shared: int = 0,
    vectors: int = 0,
    expert_vectors: int = 0,
    runs: int | None = None,
    matrices: int = 3,
) -> FeedForwardSizes:
    """Routed experts, each gated (three matrices of D × width), the shared ones, and the router.

    `shared_gate` is the number of outputs of a gate of the shared expert: it is a router of its own.
    """
    dim = config.dim
    return FeedForwardSizes(
        kind="moe",
        width=width,
        always=matrices * dim * shared_width,
        expert=matrices * dim * width,
        experts=count,
        active=active,
        shared=shared if shared else int(shared_width > 0),
        router=dim * (count + shared_gate),
        vectors=vectors,
        expert_vectors=expert_vectors,
        runs=runs,
    )


def model(
    config: ModelConfig,
    layers: Iterable[ModelLayer],
    *,
    embedding: int | None = None,
    final: int | None = None,
    tied: bool | None = None,
    reused: int = 0,
    outside_params: int = 0,
    outside_macs: int = 0,
    notes: Sequence[str] = (),
    word_width: int | None = None,
) -> Architecture:
    """The whole model around its layers."""
    vocab = config.size("vocab_size")
    return Architecture(
        name=config.model_type,
        model_type=config.model_type,
        layers=tuple(layers),
        dim=config.dim,
        vocab=vocab,
        tied=config.flag("tie_word_embeddings") if tied is None else tied,
        embedding_params=config.dim * vocab if embedding is None else embedding,
        final_vectors=config.dim if final is None else final,
        reused_params=reused,
        outside_params=outside_params,
        outside_macs=outside_macs,
        notes=tuple(notes),
        word_width=word_width,
    )
