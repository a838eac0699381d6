"""Exact attention over a ring of devices: keys and values travel, queries stay."""

from attnprof.pattern import Card, Dense, Expr, Param, all_pairs

CARD = Card(
    title="Ring attention",
    bib="liu2023ring",
    survey_class="exact, distributed",
    complexity_ours="O(n^2), O(n^2 / P) a device",
    growth=2.0,
    causality=(False, True),
    maths="own",
    rule="every j; causal: j <= i; device p has queries and keys [p n / P, (p + 1) n / P)",
    edges_text="n^2; causal: n (n + 1) / 2",
    notes=(
        "the same FLOPs as dense attention: what is saved is memory a device, six blocks of n / P tokens",
        "here all devices are one: P rounds, in each of which every block of queries meets one block of keys; what "
        "counts is the work of all of them",
        "each device sends (P - 1) 2 (n / P) g d numbers a layer: hidden where n / P >= FLOPs per byte of the link",
        "causal, contiguous blocks: blocks of later keys are left out, so that the last device works P rounds and the "
        "first one; striping the tokens (Brandon et al. 2023) balances them",
    ),
    oracle="explicit softmax",
)
PARAMS = {"devices": Param(8, "8: ours, the devices of one machine", least=1, most="n")}
EXAMPLES = ({"devices": 3}, {"devices": 1})


def pattern(n: int, *, causal: bool) -> Expr:
    """All pairs, or all pairs of the past."""
    return Dense(causal)


def edges(n: int, *, causal: bool) -> int:
    """n^2, or n (n + 1) / 2."""
    return all_pairs(n, causal)


def flops_paper(n: int, *, dim: int) -> int:
    """4 n^2 D, of all devices together (Liu et al. 2023, section 3)."""
    return 4 * n * n * dim


def flops_paper_step(n: int, *, dim: int, keys: int) -> int:
    """4 m D: one query over the m = n + 1 keys so far."""
    return 4 * keys * dim


def state_numbers(n: int, *, kv_heads: int, head_dim: int) -> int:
    """Keys and values of all tokens: 2 n g d, on all devices together."""
    return 2 * n * kv_heads * head_dim
