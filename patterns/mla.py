"""Keys and values of all heads are unpacked from one small latent vector a token, which is all that is cached."""

from fractions import Fraction

from attnprof.pattern import Card, Dense, Expr, Param, all_pairs

CARD = Card(
    title="Multi-head latent attention",
    bib="deepseek2024v2",
    survey_class="exact, compressed cache",
    complexity_ours="O(n^2), with a cache of kv_latent + rope_dim numbers a token",
    growth=2.0,
    causality=(True, False),
    kv_heads=False,
    maths="own",
    rule="every j; causal: j <= i; scores over d + rope_dim channels, of which rope_dim are one key for all heads",
    edges_text="n^2; causal: n (n + 1) / 2",
    notes=(
        "forward and training unpack keys and values; decoding keeps the latents and absorbs the unpacking matrices, "
        "and so executes more than the pairs need",
        "never fewer core FLOPs than dense attention: queries and keys are wider by rope_dim",
        "decoding with the matrices absorbed reads kv_latent + rope_dim numbers a token, for about 3.4 times the FLOPs",
        "cache of DeepSeek-V2: (512 + 64) * 60 layers = 34,560 numbers a token",
    ),
    oracle="transformers DeepseekV2Model",
)
PARAMS = {
    "kv_latent": Param(512, "512 (DeepSeek-AI 2024, section 3.1.2)"),
    "query_latent": Param(1536, "1536 (DeepSeek-AI 2024, section 3.1.2); 0 projects queries at once"),
    "rope_dim": Param(64, "64 (DeepSeek-AI 2024, section 3.1.2)"),
}

EXAMPLES = (
    {"kv_latent": 12, "query_latent": 20, "rope_dim": 4},
    {"kv_latent": 12, "query_latent": 0, "rope_dim": 4},
    {},
)


def pattern(n: int, *, causal: bool) -> Expr:
    """All pairs, or all pairs of the past."""
    return Dense(causal)


def edges(n: int, *, causal: bool) -> int:
    """n^2, or n (n + 1) / 2."""
    return all_pairs(n, causal)


def score_products(n: int, *, causal: bool, head_dim: int, rope_dim: int) -> Fraction:
    """Beside q k of every pair, of width d, a product of width rope_dim."""
    return Fraction(all_pairs(n, causal) * rope_dim, head_dim)


def flops_paper(n: int, *, dim: int, heads: int, rope_dim: int) -> int:
    """2 n^2 h (d + d_R) for the scores, 2 n^2 h d for the values, keys unpacked (DeepSeek-AI 2024, section 2.1)."""
    return 2 * n * n * (2 * dim + heads * rope_dim)


def state_numbers(n: int, *, kv_latent: int, rope_dim: int) -> int:
    """A latent vector and one rotated key a token, whatever the heads (DeepSeek-AI 2024, table 1)."""
    return n * (kv_latent + rope_dim)
