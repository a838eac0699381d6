"""A causal window whose softmax may give weight to nothing: each head learns the score of a key without a value."""

from attnprof.pattern import Band, Card, Expr, Param, band_pairs

CARD = Card(
    title="Learned sink logits",
    bib="openai2025gptoss",
    survey_class="window + sinks",
    complexity_ours="O(n w)",
    causality=(True,),
    maths="own",
    rule="0 <= i - j < window; weights exp(s_ij) / (exp(sink) + sum over j' of exp(s_ij'))",
    edges_text="n w - w (w - 1) / 2",
    paper_n=131072,
    notes=(
        "a sink is a number a head and no token: no edge and no product; the weights of a row sum to less than 1",
        "after any fused kernel: its output times sigmoid(lse - sink), lse the logarithm of the sum that it divides by",
        "windows and full layers take turns in the model: a window as long as the text is a full layer",
        "StreamingLLM's sinks are tokens: that scheme is called sinks here",
    ),
    oracle="transformers GptOssAttention",
    v_head_dim=True,
)
PARAMS = {
    "window": Param(
        128,
        "128 (OpenAI 2025, section 2.2: banded windows); includes the token itself; 0 and 1 leave it alone",
        most="n",
    ),
}
EXAMPLES = ({"window": 16}, {"window": 1000})


def pattern(n: int, *, window: int) -> Expr:
    """The band; a sink is no edge."""
    return Band(max(window, 1) - 1)


def edges(n: int, *, window: int) -> int:
    """Full rows minus what the start cuts off."""
    return band_pairs(n, min(max(window, 1), n) - 1)


def flops_paper(n: int, *, dim: int, window: int) -> int:
    """4 n w D, n keys at most, as of a window (OpenAI 2025, section 2.2, states no count)."""
    return 4 * n * min(max(window, 1), n) * dim


def flops_paper_step(n: int, *, dim: int, keys: int, window: int) -> int:
    """4 w D: a window of keys, as far as there is one."""
    return 4 * min(max(window, 1), keys) * dim
