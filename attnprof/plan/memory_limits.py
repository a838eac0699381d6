"""What fits into a memory: the longest sequence, the most sequences, and the least time of a decoding step on a card.

Weights and caches are exact; nothing else that an engine keeps (activations, graphs, workspaces) is counted, so that
the answers for prefill and training are upper bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from attnprof.errors import AttnprofError
from attnprof.models.architecture import Architecture
from attnprof.models.caches import CacheAsk, bytes_of, kv_bytes, read_bytes, state_bytes
from attnprof.models.work import model_pair_work, model_token_work
from attnprof.units import format_bytes
from attnprof.words import Pass

LONGEST = 1 << 40
# bfloat16 weights and gradients, float32 weights and two moments of Adam: bytes a parameter of mixed precision.
TRAINED_BYTES = 2 + 2 + 4 + 4 + 4


@dataclass(frozen=True, slots=True)
class ModelLimit:
    """What fits: bytes of weights, bytes that they leave, the longest n of one sequence by pass, sequences by length.

    None where nothing bounds the length (no layer grows), or where the pass does not fit at all; `why` says which.
    """

    weights_bytes: int
    free_bytes: int
    decode_n: int | None
    prefill_n: int | None
    train_n: int | None
    sequences: dict[int, int]
    why: dict[str, str]


def weights_bytes(model: Architecture, dtype: str, tp: int = 1) -> int:
    """Bytes of all parameters in one precision; of one device, where they are dealt out evenly."""
    return bytes_of(-(-model.params // tp), dtype)


def limit_of(
    model: Architecture, memory: int, lengths: tuple[int, ...], *, ask: CacheAsk, weights_dtype: str
) -> ModelLimit:
    """What fits into `memory` bytes of one device. Raises `AttnprofError` where the weights alone do not."""
    weights = weights_bytes(model, weights_dtype, ask.tp)
    free = memory - weights
    if free <= 0:
        raise AttnprofError(
            f"the weights of {model.name} take {format_bytes(weights)} in {weights_dtype}, and the memory is "
            f"{format_bytes(memory)}",
            hint="--weights-dtype fp8, --tp 8 (tensor parallel), or a larger --memory",
        )

    def kept(n: int) -> int:
        at = CacheAsk(n=n, kv=ask.kv, dtype=ask.dtype, tp=ask.tp)
        return kv_bytes(model, at) + state_bytes(model, at)

    stream = bytes_of(model.dim, ask.dtype)
    trained = -(-model.params // ask.tp) * TRAINED_BYTES
    held = len(model.layers) * stream
    answers = {
        "decode": _longest(kept, free),
        "prefill": _longest(lambda n: kept(n) + n * stream, free),
        "train": _longest(lambda n: n * held, memory - trained),
    }
    why = {
        "prefill": "at most: beside weights and caches only one residual stream is counted; what a layer's own work "
        "takes depends on the chunks in which an engine runs it",
        "train": f"at most: {TRAINED_BYTES} bytes a parameter (Adam, mixed precision), one residual stream a layer; "
        "everything else is made again in the backward",
    }
    for name, found in answers.items():
        if found == LONGEST:
            why[name] = "nothing grows with the length"
        elif not found:
            why[name] = (
                f"{format_bytes(trained)} of weights, gradients and moments do not fit"
                if name == Pass.TRAIN
                else ("not even one token fits")
            )
    lengths_fit = {n: free // max(kept(n), 1) for n in lengths}
    bounded = {name: None if found in (0, LONGEST) else found for name, found in answers.items()}
    return ModelLimit(weights, free, bounded["decode"], bounded["prefill"], bounded["train"], lengths_fit, why)


def _longest(need: Callable[[int], int], memory: int) -> int:
    """The largest n whose need fits; 0 if none does, `LONGEST` where that one still fits."""
    if need(LONGEST) <= memory:
        return LONGEST
    low, high = 0, 1
    while need(high) <= memory:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if need(middle) <= memory else (low, middle)
    return low


@dataclass(frozen=True, slots=True)
class DecodeBound:
    """The least time of one decoding step of `sequences` sequences behind n tokens each: a bound, no prediction.

    Weights that a step has to read: every token's experts the same (`least_weights_bytes`), which is what the bound
    takes; `uniform_weights_bytes` expects E·(1 − (1 − k/E)^b) of E experts, chosen evenly and independently.
    """

    flops: int
    kv_bytes: int
    least_weights_bytes: int
    uniform_weights_bytes: int
    least_s: float
    uniform_s: float
    limited_by: str


def decode_bound(
    model: Architecture, ask: CacheAsk, *, weights_dtype: str, flops_per_s: float, bytes_per_s: float
) -> DecodeBound:
    """The bound on a card of this many FLOPs and bytes a second, one device of `ask.tp`."""
    b = ask.sequences
    between = model_pair_work(model, 1, past=ask.n)
    flops = b * (model_token_work(model).active + between.absorbed + between.index) // ask.tp
    reads = b * (read_bytes(model, ask) + state_bytes(model, ask))
    fixed = model.params - (0 if model.tied else model.embedding_params) + b * model.dim
    if model.tied:
        fixed -= model.embedding_params - model.head_weights
    least = uniform = Fraction(fixed)
    for group in model.groups:
        ffn = group.layer.ffn
        if ffn.experts:
            one = group.count * (ffn.expert + ffn.expert_vectors)
            least -= one * (ffn.experts - ffn.active)
            uniform -= one * ffn.experts * (1 - Fraction(ffn.active, ffn.experts)) ** b
    sizes = [bytes_of(-(-int(weights) // ask.tp), weights_dtype) for weights in (least, uniform)]
    computing = flops / flops_per_s
    moving = [(size + reads) / bytes_per_s for size in sizes]
    return DecodeBound(
        flops=flops,
        kv_bytes=reads,
        least_weights_bytes=sizes[0],
        uniform_weights_bytes=sizes[1],
        least_s=max(computing, moving[0]),
        uniform_s=max(computing, moving[1]),
        limited_by="FLOPs" if computing >= moving[0] else "bytes",
    )
