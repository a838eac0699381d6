"""Two attentions in a row: a short extra sequence packs the tokens, and the tokens read the packed one."""

from attnprof.pattern import Card, Expr, Kernel, Param, Slots

CARD = Card(
    title="Luna",
    bib="ma2021luna",
    survey_class="memory",
    complexity="O(k n)",
    causality=(False, True),
    maths="own",
    rule="`packed` vectors read every token, each token reads every vector; causal: running sums over j <= i",
    edges_text="none between tokens: n packed from tokens to the packed sequence, n packed back",
    complexity_ours="O(n l d); causal by chunks of C: O(n C (d + l)) more, all of it products",
    kv_heads=False,
    paper_n=4096,
    notes=(
        "the packed sequence goes on to the next layer, a memory over depth; here each layer learns its own",
        "causal packing has no softmax over tokens but softplus to base 2, as released (or elu + 1): a kernel of rank "
        "`packed` over the past",
        "two attentions, so two sets of projections: 16 n D^2 and not 8 n D^2 a layer",
    ),
)
PARAMS = {
    "packed": Param(16, "16 (Ma et al. 2021); 128 and 256 too on the Long Range Arena", least=1),
    "chunk": Param(64, "64: ours; the released code takes prefix sums token by token", least=1, most="n"),
}
EXAMPLES = ({"packed": 6, "chunk": 16}, {"packed": 6, "chunk": 4096})


def pattern(n: int, *, causal: bool, packed: int) -> Expr:
    """Hubs between tokens; causal: a kernel of the past of the same rank."""
    return Kernel(packed, causal) if causal else Slots.full(n, packed)


def flops_paper(n: int, *, dim: int, packed: int) -> int:
    """8 n l D: scores and values of packing and of unpacking (Ma et al. 2021)."""
    return 8 * n * packed * dim
