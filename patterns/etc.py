"""Two inputs: a few global tokens that read and are read by all, and a long one that reads a window of itself."""

from attnprof.pattern import Band, Card, Expr, Global, Param, band_pairs

CARD = Card(
    title="Extended Transformer Construction",
    bib="ainslie2020etc",
    survey_class="fixed pattern + memory",
    complexity="O(n_g^2 + n n_g)",
    complexity_ours="O(n (n_g + w)): the survey leaves out the window",
    causality=(False,),
    maths="own",
    rule="global to global, global to long, long to global: all; long to long: |i - j| <= window / 2",
    edges_text="n_g n + n_l n_g + n_l (w + 1) - (w/2) (w/2 + 1) with n_l = n - n_g, for w/2 < n_l",
    paper_n=4096,
    notes=(
        "n counts the nodes of both inputs: the first global_tokens are the global input, the others the long one",
        "one softmax over both pieces of a query, global and long keys together",
        "the two inputs have projections of their own (Q, K, V), each token is projected once",
        "unstructured masks: every long token reads every global one",
        "relative position labels (Shaw et al. 2018) are added to the keys: 2 clip + 1 lags for two long tokens, and "
        "one for each other kind of pair, global to global, global to long, long to global: 2 n (2 clip + 1) D FLOPs, "
        "and no gather a pair",
    ),
)
PARAMS = {
    "window": Param(
        168,
        "168: radius 84, so that a block of 84 meets three (Ainslie et al. 2020, section 4)",
        by_length=(84, 168, 168, 338),
    ),
    "global_tokens": Param(
        256,
        "256; 230 to 430 by task (Ainslie et al. 2020, appendix)",
        most=lambda n: n // 2,
        by_length=(64, 256, 256, 512),
    ),
    "clip": Param(
        12, "12: the largest lag that is told apart (Ainslie et al. 2020, appendix; the released configuration)"
    ),
}
EXAMPLES = (
    {"window": 8, "global_tokens": 3, "clip": 2},
    {"window": 8, "global_tokens": 3, "clip": 9},
    {"window": 16, "global_tokens": 8},
)


def pattern(n: int, *, window: int, global_tokens: int) -> Expr:
    """A band among the long tokens, and the rows and columns of the global ones."""
    band = Band(window // 2, window // 2)
    return band | Global(global_tokens) if global_tokens else band


def edges(n: int, *, window: int, global_tokens: int) -> int:
    """Full rows and columns of the global tokens, and a band over the others."""
    long = n - global_tokens
    return global_tokens * n + long * global_tokens + band_pairs(long, window // 2, window // 2)


def flops_paper(n: int, *, dim: int, window: int, global_tokens: int) -> int:
    """4 D (n_g (n_g + n_l) + n_l (n_g + 2 r + 1)), n_l keys at most in a window (Ainslie et al. 2020, section 3.2).

    The paper's count leaves out what relative labels add to it.
    """
    long = n - global_tokens
    return 4 * dim * (global_tokens * n + long * (global_tokens + min(2 * (window // 2) + 1, long)))


def score_products(n: int, *, window: int, global_tokens: int, clip: int) -> int:
    """A product a query and label: a long one has a label for each clipped lag in its window, and one for all globals.

    A global one has two, of which softmax takes the difference alone.
    """
    long = n - global_tokens
    side = min(window // 2, clip, long - 1)
    lags = long + 2 * (side * long - side * (side + 1) // 2)
    return lags + (long + global_tokens if global_tokens else 0)
