"""What a sequence keeps: keys and values after n tokens, states of a fixed size; exact, by layer and for the model.

A window of w keys (oneself included) keeps w − 1 of them for the next token, a chunk of c keeps c − 1, an indexer one
key of its width a token. A recurrence keeps its matrix, in float32 where the module does, and a convolution K − 1
columns. DeepSeek-V4's tokens that wait to be pooled are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from attnprof.errors import AttnprofError, unknown
from attnprof.models.architecture import Architecture, ModelLayer, RecurrentMixer, SoftmaxMixer

# Bits of an element, scales of blocks included: 8 bits a block of 32 for MXFP4 (OCP MX 1.0), a block of 16 for NVFP4.
PRECISIONS: Mapping[str, Fraction] = MappingProxyType(
    {
        "float32": Fraction(32),
        "bfloat16": Fraction(16),
        "float16": Fraction(16),
        "fp8": Fraction(8),
        "int8": Fraction(8),
        "int4": Fraction(4),
        "mxfp4": Fraction(17, 4),
        "nvfp4": Fraction(9, 2),
    }
)
SHORT = MappingProxyType({"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"})
FLOAT32_BYTES = 4


def precision(name: str) -> str:
    """The full name of a precision. Raises `AttnprofError` for an unknown one."""
    found = SHORT.get(name, name)
    if found not in PRECISIONS:
        raise unknown("precision", name, [*PRECISIONS, *SHORT])
    return found


def bytes_of(elements: int, name: str) -> int:
    """Bytes of so many elements, rounded up."""
    bits = elements * PRECISIONS[name]
    return -(-bits.numerator // (8 * bits.denominator))


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheAsk:
    """How many sequences of n tokens, in which precision, over how many devices (`tp`: bytes are those of one)."""

    n: int
    sequences: int = 1
    kv: str = "bfloat16"
    dtype: str = "bfloat16"
    tp: int = 1

    def __post_init__(self) -> None:
        if min(self.n, self.sequences, self.tp) < 1:
            raise AttnprofError(
                f"n = {self.n}, {self.sequences} sequences, tensor parallel {self.tp}", hint="each is at least 1"
            )


def kept_tokens(mixer: SoftmaxMixer, n: int) -> int:
    """Tokens whose keys and values are needed after n, for the next one."""
    if mixer.window is not None:
        return min(n, mixer.window - 1)
    return min(n, mixer.chunk - 1) if mixer.chunk is not None else n


def kept_elements(mixer: SoftmaxMixer, n: int, tp: int = 1) -> int:
    """Elements that they are, and the entries pooled of older ones, on one device."""
    found = kept_tokens(mixer, n) * token_width(mixer, tp)
    if mixer.compression is not None:
        entries = n // mixer.compression.rate
        found += entries * (mixer.head_dim + (mixer.indexer.dim if mixer.indexer else 0))
    return found


def token_width(mixer: SoftmaxMixer, tp: int = 1) -> int:
    """Elements that one token leaves on one device: heads are dealt out, and repeated where there are too few."""
    if mixer.latent is not None or mixer.compression is not None or mixer.kv_width == 0:
        return mixer.kv_width
    return mixer.kv_width // mixer.kv_heads * local_heads(mixer.kv_heads, tp)


def local_heads(heads: int, tp: int) -> int:
    """Heads of one device. Raises `AttnprofError` where they cannot be dealt out evenly."""
    if heads % tp and tp % heads:
        raise AttnprofError(
            f"{heads} heads cannot be dealt to {tp} devices",
            hint="tensor parallel has to divide them, or be a multiple",
        )
    return max(heads // tp, 1)


def growth_elements(mixer: SoftmaxMixer, tp: int = 1) -> Fraction:
    """Elements that every further token adds, late in a sequence."""
    if mixer.compression is not None:
        return Fraction(mixer.head_dim + (mixer.indexer.dim if mixer.indexer else 0), mixer.compression.rate)
    bounded = mixer.window is not None or mixer.chunk is not None
    return Fraction(0 if bounded else token_width(mixer, tp))


def recurrent_bytes(mixer: RecurrentMixer, dtype: str, *, columns: int | None = None, tp: int = 1) -> int:
    """Bytes of one recurrence's state, the convolution's with `columns` columns; K − 1 unless said."""
    held = mixer.state_elements
    if tp > 1 and mixer.heads > 1:
        held = held // mixer.heads * local_heads(mixer.heads, tp)
    elif tp > 1:
        held = -(-held // tp)
    channels = mixer.conv_elements(mixer.conv_kernel - 1 if columns is None else columns)
    state = held * FLOAT32_BYTES if mixer.float32_state else bytes_of(held, dtype)
    return state + bytes_of(-(-channels // tp), dtype)


def layer_kv_bytes(layer: ModelLayer, ask: CacheAsk) -> int:
    """Bytes of one layer's keys and values of one sequence."""
    return sum(bytes_of(kept_elements(mixer, ask.n, ask.tp), ask.kv) for mixer in layer.softmaxes)


def layer_state_bytes(layer: ModelLayer, ask: CacheAsk, *, more_columns: int = 0) -> int:
    """Bytes of one layer's states of one sequence."""
    return sum(
        recurrent_bytes(
            mixer,
            ask.dtype,
            columns=mixer.conv_kernel - 1 + more_columns if mixer.conv_kernel else 0,
            tp=ask.tp,
        )
        for mixer in layer.recurrences
    )


def kv_bytes(model: Architecture, ask: CacheAsk) -> int:
    """Bytes of the keys and values of one sequence, all layers."""
    return sum(group.count * layer_kv_bytes(group.layer, ask) for group in model.groups)


def state_bytes(model: Architecture, ask: CacheAsk, *, more_columns: int = 0) -> int:
    """Bytes of the states of one sequence, all layers."""
    return sum(group.count * layer_state_bytes(group.layer, ask, more_columns=more_columns) for group in model.groups)


def growth_bytes(model: Architecture, ask: CacheAsk) -> Fraction:
    """Bytes that every further token adds to one sequence, late in it."""
    elements = sum(
        (group.count * growth_elements(mixer, ask.tp) for group in model.groups for mixer in group.layer.softmaxes),
        Fraction(0),
    )
    return elements * PRECISIONS[ask.kv] / 8


def read_bytes(model: Architecture, ask: CacheAsk, *, drafts: int = 1) -> int:
    """Bytes of keys and values that a step of `drafts` tokens reads behind n kept ones, its own among them.

    A sparse layer reads the tokens that its indexer chooses, and every key of the indexer.
    """
    total = 0
    for group in model.groups:
        for mixer in group.layer.softmaxes:
            total += group.count * bytes_of(_read_elements(mixer, ask.n, drafts, ask.tp), ask.kv)
    return total


def _read_elements(mixer: SoftmaxMixer, n: int, drafts: int, tp: int) -> int:
    width, seen = token_width(mixer, tp), n + drafts
    if mixer.compression is not None:
        assert mixer.window is not None
        entries = seen // mixer.compression.rate
        chosen = min(entries, mixer.indexer.top) if mixer.indexer else entries
        return (
            min(seen, mixer.window + drafts - 1) * width
            + chosen * mixer.head_dim
            + (entries * mixer.indexer.dim if mixer.indexer else 0)
        )
    if mixer.indexer is not None:
        keys = mixer.indexer.dim if mixer.indexer.scored else 0
        return min(seen, mixer.indexer.top * drafts) * (width - keys) + seen * keys
    if mixer.window is not None:
        return min(seen, mixer.window + drafts - 1) * width
    if mixer.chunk is not None:
        return (n % mixer.chunk + drafts) * width
    return seen * width
