"""What a model computes: FLOPs by part, of one token and of a sequence, in a forward, a training step, a decoding step.

A multiply-add is 2 FLOPs; every figure is an integer. Element by element work (norms, activations, softmax) is none of
them. Formulas: the matrices of a layer cost 2 FLOPs a weight and token; a query that reads a key costs
2·h·(d + d_v); the pairs are those that the layer reads. Recurrences are in sequential form: 6·d_k·d_v a head and token
for delta rules, 4·p·N for state spaces, 4·d² for lightning attention.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from attnprof.models.architecture import Architecture, ModelLayer, RecurrentMixer, SoftmaxMixer
from attnprof.models.caches import kept_tokens


@dataclass(frozen=True, slots=True)
class TokenWork:
    """FLOPs of one token that do not depend on how many came before it."""

    proj: int = 0
    conv: int = 0
    recurrence: int = 0
    ffn_active: int = 0
    ffn_executed: int = 0
    router: int = 0
    extra: int = 0
    head: int = 0

    def __add__(self, other: TokenWork) -> TokenWork:
        return TokenWork(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def times(self, count: int) -> TokenWork:
        """So many of them."""
        return TokenWork(*(count * getattr(self, f.name) for f in fields(self)))

    @property
    def active(self) -> int:
        """All of it, of the experts those that are chosen."""
        return self.proj + self.conv + self.recurrence + self.ffn_active + self.router + self.extra + self.head

    @property
    def executed(self) -> int:
        """All of it, of the experts those that the module runs."""
        return self.active - self.ffn_active + self.ffn_executed


@dataclass(frozen=True, slots=True)
class PairWork:
    """FLOPs between tokens: of queries that read keys.

    `useful` is what the layer's rule reads, `eager` what a module executes that scores every pair; `absorbed` reads
    latents as they are kept. `index` are the scores of indexers, `index_eager` those of every pair.
    """

    useful: int = 0
    absorbed: int = 0
    eager: int = 0
    index: int = 0
    index_eager: int = 0

    def __add__(self, other: PairWork) -> PairWork:
        return PairWork(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def times(self, count: int) -> PairWork:
        """So many of them."""
        return PairWork(*(count * getattr(self, f.name) for f in fields(self)))


def token_work(layer: ModelLayer) -> TokenWork:
    """One token in one layer."""
    return TokenWork(
        proj=2 * sum(mixer.weights for mixer in layer.mixers),
        conv=2 * sum(mixer.conv_kernel * mixer.conv_channels for mixer in layer.recurrences),
        recurrence=sum(mixer.flops for mixer in layer.recurrences),
        ffn_active=2 * layer.ffn.active_weights,
        ffn_executed=2 * layer.ffn.executed_weights,
        router=2 * layer.ffn.router,
        extra=2 * layer.extra_macs,
    )


def model_token_work(model: Architecture) -> TokenWork:
    """One token in the whole model, head included."""
    total = TokenWork(head=2 * model.head_weights, extra=2 * model.outside_macs)
    for group in model.groups:
        total += token_work(group.layer).times(group.count)
    return total


def triangle(n: int) -> int:
    """1 + 2 + … + n."""
    return n * (n + 1) // 2


def pooled(n: int, rate: int) -> int:
    """Σ ⌊i / rate⌋ over i = 1 … n: the entries that each of n tokens finds pooled, itself among them."""
    whole, rest = divmod(n, rate)
    return rate * triangle(whole - 1) + (rest + 1) * whole if whole else 0


def pairs(mixer: SoftmaxMixer, n: int) -> int:
    """Pairs (query, key) that n tokens read: earlier ones and their own, or all where the layer is not causal."""
    if not mixer.causal:
        return n * n if mixer.window is None else 2 * capped(n, mixer.window) - n
    if mixer.compression is not None:
        assert mixer.window is not None
        return capped(n, mixer.window) + pooled_pairs(mixer, n)
    if mixer.indexer is not None:
        return capped(n, mixer.indexer.top)
    if mixer.window is not None:
        return capped(n, mixer.window)
    if mixer.chunk is not None:
        whole, rest = divmod(n, mixer.chunk)
        return whole * triangle(mixer.chunk) + triangle(rest)
    return triangle(n)


def capped(n: int, most: int) -> int:
    """Σ min(i, most) over i = 1 … n."""
    return triangle(n) if n <= most else triangle(most) + (n - most) * most


def pooled_pairs(mixer: SoftmaxMixer, n: int) -> int:
    """Pooled entries that n tokens read: all of them, or of as many as there are the indexer's choice."""
    assert mixer.compression is not None
    rate = mixer.compression.rate
    if mixer.indexer is None:
        return pooled(n, rate)
    full_from = mixer.indexer.top * rate
    if n <= full_from:
        return pooled(n, rate)
    return pooled(full_from, rate) + (n - full_from) * mixer.indexer.top


def index_flops(mixer: SoftmaxMixer, n: int) -> int:
    """FLOPs of an indexer's scores for n tokens: a product a head and pair, and the weighted sum over heads."""
    indexer = mixer.indexer
    if indexer is None or not indexer.scored:
        return 0
    scored = triangle(n) if mixer.compression is None else pooled(n, mixer.compression.rate)
    return scored * indexer.heads * 2 * (indexer.dim + 1)


def keys_held(mixer: SoftmaxMixer, n: int, past: int) -> int:
    """Keys and pooled entries that a module scores which masks what is not read: n new ones, and all that it keeps."""
    return kept_tokens(mixer, past) + n + ((past + n) // mixer.compression.rate if mixer.compression else 0)


def indexed_held(mixer: SoftmaxMixer, n: int) -> int:
    """FLOPs of an indexer's scores of one query for all that there is."""
    if mixer.indexer is None or not mixer.indexer.scored:
        return 0
    if mixer.compression is not None:  # the sum over heads is no product there
        return n // mixer.compression.rate * mixer.indexer.heads * 2 * mixer.indexer.dim
    return n * mixer.indexer.heads * 2 * (mixer.indexer.dim + 1)


def pair_work(layer: ModelLayer, n: int, *, past: int = 0) -> PairWork:
    """What `n` tokens cost in one layer between tokens, behind `past` that are kept: a prefill, a step, q drafts."""
    total = PairWork()
    for mixer in layer.softmaxes:
        read = pairs(mixer, past + n) - pairs(mixer, past)
        total += PairWork(
            useful=read * mixer.pair_flops,
            absorbed=read * mixer.absorbed_pair_flops,
            eager=n * keys_held(mixer, n, past) * mixer.pair_flops,
            index=index_flops(mixer, past + n) - index_flops(mixer, past),
            index_eager=n * indexed_held(mixer, past + n),
        )
    return total


def model_pair_work(model: Architecture, n: int, *, past: int = 0) -> PairWork:
    """The same in all layers."""
    total = PairWork()
    for group in model.groups:
        total += pair_work(group.layer, n, past=past).times(group.count)
    return total


def chunked_flops(mixer: RecurrentMixer, n: int) -> int | None:
    """FLOPs of a recurrence over n tokens as Hugging Face's plain module computes them: in whole chunks of C.

    A head and token of a delta rule: 2·C·(2·d_k + d_v) + 6·d_k·d_v, and C·(d_k + d_v) more where the rule of a chunk is
    solved as a triangular system (Gated DeltaNet); of lightning attention 4·C·d + 4·d², its last chunk not padded; of
    Mamba-2 2·C·(N + p) + 4·p·N, and 2·(c + 1)²·p·N a head for its c chunks. Mamba-1 multiplies its state by C alone,
    and updates it element by element. None where this is not derived.
    """
    keys, values = mixer.key_dim, mixer.value_dim
    if not mixer.flops:
        return 0
    if mixer.kind == "mamba1":
        return 2 * n * keys * values
    if mixer.chunk is None:
        return None
    size = mixer.chunk
    if mixer.kind == "lightning":
        whole, rest = divmod(n, size)
        return mixer.heads * (2 * (whole * size**2 + rest**2) * (keys + values) + 4 * n * keys * values)
    chunks = -(-n // size)
    token = {
        "gated_deltanet": 2 * size * (2 * keys + values) + 6 * keys * values + size * (keys + values),
        "kda": 2 * size * (2 * keys + values) + 6 * keys * values,
        "mamba2": 2 * size * (keys + values) + 4 * keys * values,
    }[mixer.kind]
    between = 2 * (chunks + 1) ** 2 * keys * values if mixer.kind == "mamba2" else 0
    return mixer.heads * (chunks * size * token + between)


def crossover(model: Architecture) -> int | None:
    """The least n from which the core and the recurrences cost as much as FFN and router; an indexer's scores apart.

    None where it does not within 2^40 tokens: there is nothing whose cost grows, or no FFN.
    """
    work = model_token_work(model)
    if not work.ffn_active:
        return None

    def passed(n: int) -> bool:
        between = model_pair_work(model, n)
        return between.useful + n * work.recurrence >= n * (work.ffn_active + work.router)

    high = 1
    while not passed(high):
        high *= 2
        if high > 1 << 40:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passed(middle) else (middle, high)
    return high
