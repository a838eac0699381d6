"""Queries and keys are one vector; tokens whose hashes agree come to stand near each other, and read their chunk."""

from functools import cached_property
from math import isqrt

import numpy as np

from attnprof.pattern import Card, Drawn, Expr, Param, Slices, Sum


def _buckets(n: int, *, chunk: int) -> int:
    """About 2 n / chunk, a power of two."""
    return 2 ** max((2 * (n // chunk)).bit_length() - 1, 1)


CARD = Card(
    title="Reformer",
    bib="kitaev2020reformer",
    survey_class="learnable pattern",
    complexity="O(n log n)",
    complexity_ours="attention O(n c r); hashing O(n n_b r), n^2 / c while the buckets are one factor",
    causality=(True, False),
    maths="own",
    data_dependent=True,
    kv_heads=False,
    rule="tokens sorted by (hash, position) in chunks: i reads its chunk and the one before, in each round; j <= i",
    edges_text="at most 2 c a query and round; drawn, not counted",
    paper_n=65536,
    undecoded="chunks begin where the hashes of all tokens say: a token more changes what earlier ones read",
    leaks=(
        "where a chunk begins depends on the hashes of all tokens: a later token can move an earlier one to another "
        "chunk, and so change what it reads; scores of later tokens are masked",
    ),
    notes=(
        "queries and keys are one projection; keys have length 1, and scores are not divided by sqrt(d)",
        "a token reads itself only where it reads nothing else: its own score is -1e5",
        "rounds are combined by their normalisers: the weight of a round is the softmax of its log-sum-exp",
        "duplicates=once subtracts log N_ij, N_ij the rounds in which i reads j; by default such keys weigh more",
        "the first chunk of a round reads the last of the round before (the first round: of the last), as released",
        "buckets: 2^floor(log2(2 n / c)), in two factors once they are more than 2 max(sqrt(n / c), c); "
        "below that hashing costs n n_b d a round and head: a quadratic term, 2 n^2 d / c",
        "a reversible block keeps the hashes of its forward pass, 2 bytes a token, head and round, so that activations "
        "computed back from the output, equal up to rounding, are not hashed elsewhere",
        "the pattern is drawn for random tokens, one head for all",
    ),
    oracle="transformers LSHSelfAttention; reformer_pytorch LSHAttention",
)
PARAMS = {
    "chunk": Param(
        64,
        "64 (released code; Kitaev et al. 2020, section 5 does not name it)",
        least=1,
        most="n",
        by_length=(64, 64, 64, 64),
    ),
    "hashes": Param(
        4, "4 (Kitaev et al. 2020, section 5: training with 1 to 8 rounds)", least=1, by_length=(4, 4, 4, 8)
    ),
    "buckets": Param(
        source="about 2 n / chunk (Kitaev et al. 2020, section 3), a power of two as released",
        least=1,
        follows=_buckets,
    ),
    "duplicates": Param(
        "kept", "kept, as in the transformers port; once is equation 7 with N_ij", words=("kept", "once")
    ),
    "reversible": Param(True, "true: blocks keep no activations (Kitaev et al. 2020, section 4); level block alone"),
    "ffn_chunks": Param(
        8, "8 stretches of the FFN (Kitaev et al. 2020, section 4; the number is ours); level block alone", least=1
    ),
}
EXAMPLES = ({"chunk": 8, "hashes": 2}, {"chunk": 8, "hashes": 2, "duplicates": "once"}, {"chunk": 8, "hashes": 1})


def _factors(n: int, chunk: int, buckets: int) -> tuple[int, ...]:
    """One hash for all buckets, or two whose product they are once they are many."""
    if buckets <= 2 * max(isqrt(n // chunk), chunk) or buckets & (buckets - 1):
        return (buckets,)
    power = buckets.bit_length() - 1
    return 2 ** (power // 2), 2 ** (power - power // 2)


class _Sample:
    """The chunks that random tokens fall into, in every round."""

    def __init__(self, n: int, causal: bool, seed: list[int], chunk: int, hashes: int, buckets: int, dim: int) -> None:
        self.n, self.causal, self.seed = n, causal, seed
        self.chunk, self.hashes, self.buckets, self.dim = chunk, hashes, buckets, dim

    @cached_property
    def chunks(self) -> np.ndarray:
        """Tokens of every chunk, `[hashes * chunks, chunk]`, n and more for padding."""
        draw = np.random.default_rng(self.seed)
        tokens = draw.standard_normal((self.n, self.dim), dtype=np.float32)
        bucket = np.zeros((self.hashes, self.n), dtype=np.int64)
        for factor in _factors(self.n, self.chunk, self.buckets):
            turned = tokens @ draw.standard_normal((self.hashes, self.dim, max(factor // 2, 1)), dtype=np.float32)
            best = np.abs(turned).argmax(-1)
            side = np.take_along_axis(turned, best[..., None], -1)[..., 0] < 0
            bucket = bucket * factor + best + side * (factor // 2)
        order = np.argsort(bucket, axis=1, kind="stable")
        padding = np.tile(np.arange(self.n, self.n + -self.n % self.chunk), (self.hashes, 1))
        return np.concatenate([order, padding], axis=1).reshape(-1, self.chunk)

    def pairs(self, at: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Queries `[chunks, c, 1]` and keys `[chunks, 1, 2 c]` of one round, and which pairs are edges."""
        count = len(self.chunks) // self.hashes
        mine = slice(at * count, (at + 1) * count)
        query = self.chunks[mine, :, None]
        before = [np.roll(self.chunks, 1, 0)[mine]] if count > 1 else []
        key = np.concatenate([*before, self.chunks[mine]], axis=1)[:, None]
        real = (query < self.n) & (key < self.n)
        return query, key, real & (key <= query) if self.causal else real

    def slices(self, at: int) -> Slices:
        """The edges of one round."""
        query, key, edge = self.pairs(at)
        query, key = np.broadcast_arrays(query, key)
        return Slices.from_pairs(self.n, query[edge], key[edge])

    def edges(self, at: int) -> int:
        """Their number; without causality it depends on the sizes of the chunks alone."""
        if self.causal:
            return int(self.pairs(at)[2].sum())
        sizes = np.minimum(self.chunk, self.n - np.arange(-(-self.n // self.chunk)) * self.chunk)
        return int((sizes * (sizes + (np.roll(sizes, 1) if len(sizes) > 1 else 0))).sum())


def pattern(
    n: int, *, causal: bool, layer: int, seed: int, head_dim: int, chunk: int, hashes: int, buckets: int
) -> Expr:
    """What random tokens read: a sample, one part for each round. The last two are of level block alone."""
    sample = _Sample(n, causal, [seed, layer], chunk, hashes, buckets, head_dim)
    rounds = [Drawn(lambda at=at: sample.slices(at), lambda at=at: sample.edges(at)) for at in range(hashes)]
    return rounds[0] if hashes == 1 else Sum(tuple(rounds))


def flops_paper(n: int, *, dim: int, chunk: int, hashes: int, buckets: int) -> int:
    """For each round 4 n 2 c D of chunks with their predecessors, n keys at most, and n D a bucket to hash.

    Kitaev et al. 2020, section 3; buckets in two factors cost their sum.
    """
    columns = sum(_factors(n, chunk, buckets))
    return hashes * (4 * n * min(2 * chunk, n) * dim + n * columns * dim)
