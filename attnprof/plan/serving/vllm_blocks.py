"""vLLM: blocks of one page size for all groups of layers.

Source: vllm/v1/kv_cache_interface.py at 001cabc, vllm/model_executor/models/config.py at 0144dd5, kv_cache_utils.py.
A layer's page is block · bytes a token. A window reserves ⌈min(w − 1 + batched tokens, n) / block⌉ + 1 pages, a chunk
⌈min(c + batched, n) / block⌉. Layers of one kind form buckets; a group has as many layers as the least bucket (as the
largest one if that is less than 1.5 times it), and the last group of a bucket is padded. With states, the block grows
to 16·⌈state page / (16 · bytes a token)⌉ tokens, and a state takes one page.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from attnprof.models.architecture import Architecture, SoftmaxMixer
from attnprof.models.caches import CacheAsk, bytes_of, recurrent_bytes, token_width
from attnprof.plan.serving.allocation import EngineAnswer, PoolRow, ceil_div

SOURCE = "vLLM kv_cache_interface.py 001cabc, models/config.py 0144dd5"
BLOCK = 16
FP8_LATENT_BYTES = 656
DEFAULTS = {
    "block": "vllm/config/cache.py 002f10e, DEFAULT_BLOCK_SIZE (larger where states ask for it)",
    "batched_tokens": "vllm/engine/arg_utils.py, the server's default on cards of 70 GB and more, A100 apart",
    "states_a_sequence": "vllm/config/cache.py 002f10e, mamba_cache_mode none",
}


@dataclass(frozen=True, slots=True)
class VllmPolicy:
    """Settings: tokens of a block, of a prefill's chunk, drafts, and how states are kept for prefix caching."""

    block: int = BLOCK
    batched_tokens: int = 8192
    drafts: int = 0
    states_a_sequence: int = 1


@dataclass(frozen=True, slots=True)
class _Bucket:
    """Layers of equal specification: what each of them keeps of a token (or as one state), and for how long."""

    kind: str
    token_bytes: int = 0
    state_bytes: int = 0
    window: int | None = None
    chunk: int | None = None

    def blocks(self, n: int, block: int, policy: VllmPolicy) -> int:
        if self.state_bytes:
            return policy.states_a_sequence + policy.drafts
        if self.window is not None:
            return ceil_div(min(self.window - 1 + policy.batched_tokens, n), block) + 1
        if self.chunk is not None:
            return ceil_div(min(self.chunk + policy.batched_tokens, n), block)
        return ceil_div(n, block)


def allocated(model: Architecture, ask: CacheAsk, policy: VllmPolicy | None = None) -> EngineAnswer:
    """What vLLM reserves for `ask.sequences` sequences that may grow to n tokens."""
    policy = policy or VllmPolicy()
    buckets = _buckets(model, ask, policy)
    if not buckets:
        return EngineAnswer(name="vllm", bytes=0, source=SOURCE)
    if model.model_type == "deepseek_v4":
        return EngineAnswer(name="vllm", bytes=None, source=SOURCE, why="pooled entries are not read at these commits")
    block, page = _block_and_page(buckets, policy)
    pages = {bucket.token_bytes * block for bucket in buckets if bucket.token_bytes}
    assumptions = {
        "block": block,
        "page_bytes": page,
        "batched_tokens": policy.batched_tokens,
        "n_max": ask.n,
        "drafts": policy.drafts,
        "states_a_sequence": policy.states_a_sequence,
    }
    if len(pages) > 1 and all(not b.state_bytes and b.window is None and b.chunk is None for b in buckets):
        rows = _uniform(buckets, ask, block)
    elif len(pages) > 1:
        return _uneven(buckets, ask, policy, assumptions)
    else:
        rows = _grouped(buckets, ask, policy, block, page)
    return EngineAnswer(
        name="vllm",
        bytes=sum(row.bytes for row in rows),
        source=SOURCE,
        assumptions=assumptions,
        defaults=DEFAULTS,
        rows=tuple(rows),
    )


def _buckets(model: Architecture, ask: CacheAsk, policy: VllmPolicy) -> dict[_Bucket, int]:
    """How many layers there are of each specification."""
    found: dict[_Bucket, int] = {}
    for layer in model:
        for softmax in layer.softmaxes:
            if softmax.kv_width:
                for bucket in _of_softmax(softmax, ask):
                    found[bucket] = found.get(bucket, 0) + 1
        for mixer in layer.recurrences:
            columns = mixer.conv_kernel - 1 + policy.drafts if mixer.conv_kernel else 0
            held = recurrent_bytes(mixer, ask.dtype, columns=columns, tp=ask.tp)
            bucket = _Bucket(mixer.kind, state_bytes=held)
            found[bucket] = found.get(bucket, 0) + 1
    return found


def _of_softmax(mixer: SoftmaxMixer, ask: CacheAsk) -> list[_Bucket]:
    """An attention's bucket; an indexer's keys, in fp8 with a scale a 128 of them, are a layer of their own."""
    width, index = token_width(mixer, ask.tp), 0
    if mixer.indexer is not None and mixer.indexer.scored and mixer.latent is not None:
        index = mixer.indexer.dim
    held = bytes_of(width - index, ask.kv)
    if mixer.indexer is not None and ask.kv == "fp8":
        held = FP8_LATENT_BYTES
    kind = "latent" if mixer.latent is not None else mixer.kind
    buckets = [_Bucket(kind, token_bytes=held, window=mixer.window, chunk=mixer.chunk)]
    if index:
        buckets.append(_Bucket("indexer keys", token_bytes=index + 4 * ceil_div(index, 128)))
    return buckets


def _block_and_page(buckets: dict[_Bucket, int], policy: VllmPolicy) -> tuple[int, int]:
    """Tokens of a block and bytes of a page, which states may enlarge."""
    token = max((bucket.token_bytes for bucket in buckets), default=0)
    state = max((bucket.state_bytes for bucket in buckets), default=0)
    if not token:
        return policy.block, state
    block = policy.block
    if state:
        block = max(block, BLOCK * ceil_div(state, BLOCK * token))
    return block, block * token


def _uniform(buckets: dict[_Bucket, int], ask: CacheAsk, block: int) -> list[PoolRow]:
    """Layers that all keep everything, in different widths: one group whose page is the sum of theirs."""
    tokens = block * ceil_div(ask.n, block)
    return [
        PoolRow(kind=b.kind, layers=count, tokens=tokens, bytes=ask.sequences * tokens * count * b.token_bytes)
        for b, count in buckets.items()
    ]


def _grouped(buckets: dict[_Bucket, int], ask: CacheAsk, policy: VllmPolicy, block: int, page: int) -> list[PoolRow]:
    """Groups of equally many layers, which share one pool of pages."""
    size = group_size(list(buckets.values()))
    rows = []
    for bucket, count in buckets.items():
        groups = ceil_div(count, size)
        blocks = bucket.blocks(ask.n, block, policy)
        rows.append(
            PoolRow(
                kind=bucket.kind,
                layers=count,
                padding=groups * size - count,
                tokens=None if bucket.state_bytes else blocks * block,
                bytes=ask.sequences * groups * blocks * size * page,
            )
        )
    return rows


def _uneven(
    buckets: dict[_Bucket, int], ask: CacheAsk, policy: VllmPolicy, assumptions: dict[str, int]
) -> EngineAnswer:
    """Pages of several sizes: the blocks of narrower layers hold more tokens, if a whole multiple."""
    widest = max(bucket.token_bytes for bucket in buckets)
    if any(bucket.state_bytes or widest % bucket.token_bytes for bucket in buckets):
        return EngineAnswer(name="vllm", bytes=None, source=SOURCE, why="layers of these widths have no page in common")
    page = policy.block * widest
    size = group_size(list(buckets.values()))
    rows = []
    for bucket, count in buckets.items():
        block = page // bucket.token_bytes
        made = _grouped({bucket: count}, ask, policy, block, page)[0]
        groups = ceil_div(count, size)
        per_layer = made.bytes // (made.layers + made.padding)
        rows.append(replace(made, padding=groups * size - count, bytes=per_layer * groups * size))
    return EngineAnswer(
        name="vllm",
        bytes=sum(r.bytes for r in rows),
        source=SOURCE,
        assumptions=assumptions,
        defaults=DEFAULTS,
        rows=tuple(rows),
    )


def group_size(counts: list[int]) -> int:
    """Layers of a group: as many as the least bucket has; the largest bucket's if it is less than 1.5 times that."""
    least, most = min(counts), max(counts)
    return most if most < 1.5 * least else least
