"""Families of state spaces, gated recurrences and short convolutions, most of them with some attention layers."""

from __future__ import annotations

from attnprof.errors import AttnprofError
from attnprof.models.architecture import (
    Architecture,
    FeedForwardSizes,
    Mixer,
    ModelLayer,
    RecurrentMixer,
)
from attnprof.models.model_config import ModelConfig
from attnprof.models.readers.building import (
    CONV,
    FULL,
    LINEAR,
    WINDOW,
    experts,
    glu,
    grouped,
    mamba1,
    mamba2,
    model,
)

LETTERS = {"M": LINEAR, "E": "moe", "*": FULL, "-": "mlp"}


def nemotron_h(config: ModelConfig) -> Architecture:
    """Nemotron-H: Mamba-2, attention, an MLP of two matrices (relu²) and experts, each a layer of its own."""
    letters = config.values.get("hybrid_override_pattern")
    words = [LETTERS.get(str(letter), str(letter)) for letter in letters or ()]
    words = words or [str(word) for word in config.listed("layers_block_type") or (LINEAR, "moe", FULL, "mlp")]
    words = [{"mamba": LINEAR, "attention": FULL}.get(word, word) for word in words]
    for word in words:
        if word not in LETTERS.values():
            raise AttnprofError(
                f"a layer of nemotron_h is {word!r}",
                hint=f"of {', '.join(LETTERS.values())}, or the letters {''.join(LETTERS)}",
            )
    ssm = _mamba2(config, heads="mamba_num_heads", head_dim="mamba_head_dim")
    made = {
        LINEAR: ModelLayer(mixers=(ssm,), vectors=config.dim),
        FULL: ModelLayer(mixers=(grouped(config, bias=config.flag("attention_bias")),), vectors=config.dim),
        "mlp": ModelLayer(ffn=_two_matrices(config), vectors=config.dim),
    }
    if "moe" in words:
        made["moe"] = ModelLayer(ffn=_nemotron_experts(config), vectors=config.dim)
    return model(config, [made[word] for word in words])


def _two_matrices(config: ModelConfig) -> FeedForwardSizes:
    width = config.size("intermediate_size")
    return FeedForwardSizes(kind="plain", width=width, always=2 * config.dim * width)


def _nemotron_experts(config: ModelConfig) -> FeedForwardSizes:
    if config.maybe("moe_latent_size") is not None:
        raise AttnprofError(
            "experts in a latent space (moe_latent_size) are not read", hint="leave moe_latent_size out"
        )
    shared = config.size("n_shared_experts", 0)
    return experts(
        config,
        width=config.size("moe_intermediate_size"),
        count=config.size("n_routed_experts"),
        active=config.size("num_experts_per_tok"),
        shared_width=config.size("moe_shared_expert_intermediate_size") * min(shared, 1),
        shared=shared,
        matrices=2,
    )


def _mamba2(config: ModelConfig, *, heads: str, head_dim: str, norm: bool = True) -> RecurrentMixer:
    """Mamba-2 by the keys that a family has for it."""
    states, groups, kernel = (
        next(key for key in keys if key in config.values)
        for keys in (
            ("ssm_state_size", "mamba_d_state", "state_size"),
            ("n_groups", "mamba_n_groups", "mamba_ngroups"),
            ("conv_kernel", "mamba_d_conv"),
        )
    )
    conv_bias = next(key for key in ("use_conv_bias", "mamba_conv_bias") if key in config.values)
    return mamba2(
        config.dim,
        heads=config.size(heads),
        head_dim=_by_expansion(config, config.size(heads)) if _automatic(config, head_dim) else config.size(head_dim),
        state=config.size(states),
        groups=config.size(groups),
        kernel=config.size(kernel),
        chunk=config.maybe("chunk_size") or config.maybe("mamba_chunk_size"),
        conv_bias=config.flag(conv_bias),
        bias=any(config.flag(key) for key in ("mamba_proj_bias", "add_bias_linear", "use_bias")),
        norm=norm,
    )


def _automatic(config: ModelConfig, key: str) -> bool:
    return config.values.get(key) == "auto"


def _by_expansion(config: ModelConfig, heads: int) -> int:
    """The width of a head where the config leaves it to the expansion of D."""
    return config.size("mamba_d_ssm", config.size("mamba_expand") * config.dim) // heads


def mamba(config: ModelConfig) -> Architecture:
    """Mamba, Falcon Mamba and Mamba-2: one mixer a layer, and no FFN."""
    dim = config.dim
    mixer = (
        _mamba2(config, heads="num_heads", head_dim="head_dim") if config.model_type == "mamba2" else _mamba1(config)
    )
    return model(config, [ModelLayer(mixers=(mixer,), vectors=dim)] * config.depth)


def _mamba1(config: ModelConfig) -> RecurrentMixer:
    rank = -(-config.dim // 16) if _automatic(config, "time_step_rank") else config.size("time_step_rank")
    return mamba1(
        config.dim,
        inner=config.size("expand") * config.dim,
        state=config.size("state_size"),
        rank=rank,
        kernel=config.size("conv_kernel"),
        conv_bias=config.flag("use_conv_bias"),
        bias=config.flag("use_bias"),
    )


def bamba(config: ModelConfig) -> Architecture:
    """Bamba and Granite 4: Mamba-2, attention where the config puts it; a gated FFN, or experts beside a shared one."""
    granite = config.model_type == "granitemoehybrid"
    where = set(config.listed("attn_layer_indices") or ())
    otherwise = [FULL if i in where else LINEAR for i in range(config.depth)]
    words = config.kinds("layer_types", otherwise, known=(FULL, LINEAR)) if granite else otherwise
    attention: Mixer = grouped(config, bias=config.flag("attention_bias"))
    ssm = _mamba2(config, heads="mamba_n_heads", head_dim="mamba_d_head")
    ffn = _granite_ffn(config) if granite else glu(config, config.size("intermediate_size"))
    layers = [
        ModelLayer(mixers=(attention if word == FULL else ssm,), ffn=ffn, vectors=2 * config.dim) for word in words
    ]
    return model(config, layers)


def _granite_ffn(config: ModelConfig) -> FeedForwardSizes:
    count, shared = config.size("num_local_experts"), config.size("shared_intermediate_size")
    if not count:
        return glu(config, shared)
    return experts(
        config,
        width=config.size("intermediate_size"),
        count=count,
        active=config.size("num_experts_per_tok"),
        shared_width=shared,
    )


def falcon_h1(config: ModelConfig) -> Architecture:
    """Falcon-H1: attention and Mamba-2 side by side in every layer."""
    attention = grouped(config, bias=config.flag("attention_bias"))
    ssm = _mamba2(config, heads="mamba_n_heads", head_dim="mamba_d_head", norm=config.flag("mamba_rms_norm"))
    layer = ModelLayer(
        mixers=(attention, ssm), ffn=glu(config, config.size("intermediate_size")), vectors=2 * config.dim
    )
    return model(config, [layer] * config.depth)


def jamba(config: ModelConfig) -> Architecture:
    """Jamba: Mamba-1, attention in every eighth layer, experts in every second."""
    dim, inner = config.dim, config.size("mamba_expand") * config.dim
    state = config.size("mamba_d_state")
    rank = -(-dim // 16) if _automatic(config, "mamba_dt_rank") else config.size("mamba_dt_rank")
    ssm = mamba1(
        dim,
        inner=inner,
        state=state,
        rank=rank,
        kernel=config.size("mamba_d_conv"),
        norms=True,
        conv_bias=config.flag("mamba_conv_bias"),
        bias=config.flag("mamba_proj_bias"),
    )
    attention = grouped(config)
    dense = glu(config, config.size("intermediate_size"))
    sparse = experts(
        config,
        width=config.size("intermediate_size"),
        count=config.size("num_experts"),
        active=config.size("num_experts_per_tok"),
    )
    many = config.size("num_experts") > 1
    layers = [
        ModelLayer(
            mixers=(attention if i % config.size("attn_layer_period") == config.size("attn_layer_offset") else ssm,),
            ffn=sparse
            if many and i % config.size("expert_layer_period") == config.size("expert_layer_offset")
            else dense,
            vectors=2 * dim,
        )
        for i in range(config.depth)
    ]
    return model(config, layers)


def zamba2(config: ModelConfig) -> Architecture:
    """Zamba2: Mamba-2 everywhere; before some layers one of a few shared blocks of attention on [x, x₀] and FFN.

    A shared block's weights are stored once and run at each of its places, each with keys and values, an adapter of the
    FFN and a matrix back to D of its own. All adapters of all places are stored.
    """
    config.refuse("use_shared_attention_adapter")
    dim, depth = config.dim, config.depth
    words = config.listed("layers_block_type")
    if words is None:
        words = [
            LINEAR,
            *([*[LINEAR] * 5, "hybrid"] * 7),
            *[LINEAR] * 4,
            "hybrid",
            *[LINEAR] * 3,
            "hybrid",
            LINEAR,
            LINEAR,
        ]
    words = [{"mamba": LINEAR}.get(word, word) for word in words][:depth]
    heads = config.size("num_attention_heads")
    head_dim = config.size("attention_head_dim", 2 * dim // heads)
    ssm = mamba2(
        dim,
        heads=config.size("n_mamba_heads"),
        head_dim=config.size("mamba_expand") * dim // config.size("n_mamba_heads"),
        state=config.size("mamba_d_state"),
        groups=config.size("mamba_ngroups"),
        kernel=config.size("mamba_d_conv"),
        chunk=config.maybe("chunk_size"),
        conv_bias=config.flag("use_conv_bias", True),
        bias=config.flag("add_bias_linear"),
    )
    attention = grouped(config, head_dim=head_dim, kv_heads=config.size("num_key_value_heads", heads), width=2 * dim)
    width, rank = config.size("intermediate_size", 4 * dim), config.size("adapter_rank")
    adapter = dim * rank + rank * 2 * width
    ffn = FeedForwardSizes(kind="glu", width=width, always=3 * dim * width)
    places, blocks = words.count("hybrid"), config.size("num_mem_blocks")
    hybrid = ModelLayer(
        mixers=(attention, ssm),
        ffn=ffn,
        vectors=4 * dim,
        extra_params=dim * dim + adapter,
        extra_macs=dim * dim + adapter,
    )
    plain = ModelLayer(mixers=(ssm,), vectors=dim)
    shared = attention.weights + ffn.always + 3 * dim
    reused = max(places - blocks, 0) * shared
    return model(config, [hybrid if word == "hybrid" else plain for word in words], reused=reused)


def recurrent_gemma(config: ModelConfig) -> Architecture:
    """RecurrentGemma (Griffin): gated linear recurrences, block-diagonal gates, a window in every third layer."""
    dim, width, heads = config.dim, config.size("lru_width", config.dim), config.size("num_attention_heads")
    pattern = config.listed("block_types") or ["recurrent", "recurrent", "attention"]
    block = width // heads
    recurrence = RecurrentMixer(
        kind="rg_lru",
        heads=1,
        key_dim=1,
        value_dim=width,
        weights=3 * dim * width + 2 * heads * block * block,
        vectors=3 * width + 2 * width + dim + width,
        flops=0,
        conv_kernel=config.size("conv1d_width"),
        conv_channels=width,
    )
    attention: Mixer = grouped(
        config,
        window=config.size("attention_window_size"),
        bias=config.flag("attention_bias"),
        out_bias=True,
    )
    hidden = config.size("intermediate_size") // 2
    ffn = glu(config, hidden, vectors=2 * hidden + dim)
    words = [pattern[i % len(pattern)] for i in range(config.depth)]
    layers = [
        ModelLayer(mixers=(attention if word == "attention" else recurrence,), ffn=ffn, vectors=2 * dim)
        for word in words
    ]
    return model(config, layers)


def lfm(config: ModelConfig) -> Architecture:
    """LFM2, its mixture of experts, and LFM3: gated short convolutions, attention, windows."""
    third = config.model_type == "lfm3"
    words = config.kinds("layer_types", _lfm_words(config), known=(CONV, FULL, WINDOW))
    kernel, dim = config.size("conv_L_cache"), config.dim
    biased = config.flag("conv_bias")
    convolution = RecurrentMixer(
        kind="short_conv",
        heads=0,
        key_dim=0,
        value_dim=0,
        weights=4 * dim * dim,
        vectors=5 * dim if biased else 0,
        flops=0,
        conv_kernel=kernel,
        conv_channels=dim,
    )
    gate = config.size("num_attention_heads") if third and config.flag("use_attention_gate") else 0
    layers = []
    for i, word in enumerate(words):
        window = config.size("sliding_window") if word == WINDOW else None
        mixer: Mixer = convolution if word == CONV else grouped(config, window=window, head_norms=2, gate=gate)
        norms = 4 if third and config.flag("use_sandwich_norm") else 2
        layers.append(ModelLayer(mixers=(mixer,), ffn=_lfm_ffn(config, i), vectors=norms * dim))
    return model(config, layers)


def _lfm_words(config: ModelConfig) -> list[str]:
    """The layers where the config lists none: attention in all of LFM2's, or where it says; LFM3's period of four."""
    if config.model_type == "lfm3":
        return [FULL if i % 4 == 2 else WINDOW if i % 4 == 0 and i else CONV for i in range(config.depth)]
    where = config.listed("full_attn_idxs")
    full_at = set(range(config.depth) if where is None else where)
    return [FULL if i in full_at else CONV for i in range(config.depth)]


def _lfm_ffn(config: ModelConfig, layer: int) -> FeedForwardSizes:
    count = config.size("num_experts", 0)
    if count and layer >= config.size("num_dense_layers"):
        return experts(
            config,
            width=config.size("moe_intermediate_size"),
            count=count,
            active=config.size("num_experts_per_tok"),
        )
    width = config.size("intermediate_size")
    if config.flag("block_auto_adjust_ff_dim"):
        width = 2 * width // 3
        factor = config.values.get("block_ffn_dim_multiplier")
        width = width if factor is None else int(factor * width)
        unit = config.size("block_multiple_of")
        width = unit * -(-width // unit)
    return glu(config, width)
