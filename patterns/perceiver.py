"""A fixed number of latent vectors reads the sequence; all further work is among the latents."""

from attnprof.pattern import Card, Expr, Param, Slots

CARD = Card(
    title="Perceiver",
    bib="jaegle2021perceiver",
    survey_class="memory + downsampling",
    complexity="O(k n)",
    causality=(False,),
    complexity_ours="O(n N + N^2): a constant tower of layers among latents beside what grows with n",
    maths="own",
    rule="every latent reads every token; latents read latents; an output query reads every latent",
    edges_text="none between tokens: n latents from tokens to latents, n latents back (one output query a token)",
    paper_n=50176,
    notes=(
        "the Perceiver ends at the latents; the way back is that of Perceiver IO, one output query a token",
        "the tower among latents costs latent_layers latents^2 whatever n is, and dominates for short sequences",
        "no causal form: perceiver_ar is the autoregressive one; the survey's Decode column means that",
        "here the queries of the way back are those of the tokens, and each block has an MLP as wide as the latents",
    ),
)
PARAMS = {
    "latents": Param(512, "512 (Jaegle et al. 2021)", least=1),
    "latent_layers": Param(6, "6 after each reading of the input (Jaegle et al. 2021)"),
}
EXAMPLES = ({"latents": 16, "latent_layers": 2},)


def pattern(n: int, *, latents: int) -> Expr:
    """Every latent reads every token, every token reads every latent."""
    return Slots.full(n, latents)


def flops_paper(n: int, *, dim: int, latents: int, latent_layers: int) -> int:
    """4 n N D for the reading of the input, 4 N^2 D for each latent layer (Jaegle et al. 2021)."""
    return 4 * n * latents * dim + 4 * latent_layers * latents**2 * dim
