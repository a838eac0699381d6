"""A model as numbers: its layers with their sizes, its embeddings, its head. Nothing here executes, nothing allocates.

Sizes are those of one sequence: widths in elements, weights in entries. A weight is an entry of a matrix that
multiplies every token once, so that it costs one multiply-add a token; `vectors` are the parameters that multiply
nothing (norms, biases, sinks, decays). `h` query heads, `g` KV heads, `d` widths, `D` the model's width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class IndexerSizes:
    """What chooses the keys of a sparse layer (DeepSeek-V3.2): its heads, their width, and how many keys are chosen.

    `scored` is false where a layer takes over the choice of an earlier one: it scores nothing and keeps no keys.
    """

    heads: int
    dim: int
    top: int
    scored: bool = True


@dataclass(frozen=True, slots=True)
class Compression:
    """Entries pooled of `rate` tokens each, read besides a window (DeepSeek-V4); an indexer picks among them."""

    rate: int


@dataclass(frozen=True, slots=True)
class LatentWidths:
    """Multi-head latent attention: what is kept of a token is one vector of `rank` and a rotary part."""

    rank: int
    rope: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxMixer:
    """Attention by softmax: who is read (everything, a window, a chunk, chosen keys), by how many heads, how wide.

    `window` counts the keys that are read, oneself included, and to each side where the layer is not `causal`.
    `kv_width` is what one token leaves in the cache, in elements; 0 where the layer reads another layer's cache, or
    none is kept since every token reads later ones.
    """

    heads: int
    kv_heads: int
    head_dim: int
    v_head_dim: int
    weights: int
    vectors: int = 0
    kv_width: int
    window: int | None = None
    chunk: int | None = None
    indexer: IndexerSizes | None = None
    compression: Compression | None = None
    latent: LatentWidths | None = None
    causal: bool = True

    @property
    def kind(self) -> str:
        """What is read, in a word or two."""
        if self.compression is not None:
            chosen = f", top {self.indexer.top}" if self.indexer else ""
            return f"window {self.window} + 1/{self.compression.rate} compressed{chosen}"
        if self.indexer is not None:
            return f"top {self.indexer.top}" + ("" if self.indexer.scored else " as chosen before")
        if self.window is not None:
            return f"window {self.window}" if self.causal else f"window ±{self.window - 1}"
        return f"chunk {self.chunk}" if self.chunk is not None else "full"

    @property
    def pair_flops(self) -> int:
        """FLOPs of one query that reads one key, all heads: the score and the sum of values."""
        return 2 * self.heads * (self.head_dim + self.v_head_dim)

    @property
    def absorbed_pair_flops(self) -> int:
        """The same where latents are read as they are kept (decoding); `pair_flops` where there are none."""
        if self.latent is None:
            return self.pair_flops
        return 2 * self.heads * (2 * self.latent.rank + self.latent.rope)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentMixer:
    """A layer that keeps a state in place of keys: linear attention, a state space, a gated recurrence, a convolution.

    The state is `heads` matrices of key_dim × value_dim, `flops` the products of one token with it (sequential form);
    the convolution in front has `conv_kernel` taps on `conv_channels` channels. `float32_state` is false where the
    module keeps its state in the model's own precision. `chunk` is the length of the chunks that Hugging Face's module
    computes at once.
    """

    kind: str
    heads: int
    key_dim: int
    value_dim: int
    weights: int
    flops: int
    vectors: int = 0
    conv_kernel: int = 0
    conv_channels: int = 0
    float32_state: bool = True
    chunk: int | None = None

    @property
    def state_elements(self) -> int:
        """Elements of the recurrent state of one sequence."""
        return self.heads * self.key_dim * self.value_dim

    def conv_elements(self, columns: int) -> int:
        """Elements that the convolution keeps, with so many columns of each channel."""
        return self.conv_channels * max(columns, 0)


Mixer = SoftmaxMixer | RecurrentMixer


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForwardSizes:
    """The feed-forward part: weights that every token meets, experts of which it meets a few, and the router.

    `always` are the weights of a dense FFN or of shared experts, `expert` those of one routed expert. `runs` is how
    many experts the module executes on a token, where that is not how many are chosen (`active`).
    """

    kind: str = "none"
    width: int = 0
    always: int = 0
    expert: int = 0
    experts: int = 0
    active: int = 0
    shared: int = 0
    router: int = 0
    vectors: int = 0
    expert_vectors: int = 0
    runs: int | None = None

    @property
    def active_weights(self) -> int:
        """Weights that a token meets by the model's rule, router left out."""
        return self.always + self.active * self.expert

    @property
    def executed_weights(self) -> int:
        """Weights that the module multiplies a token with, router left out."""
        return self.always + (self.active if self.runs is None else self.runs) * self.expert

    @property
    def params(self) -> int:
        """All parameters."""
        return self.always + self.experts * (self.expert + self.expert_vectors) + self.router + self.vectors

    @property
    def idle_params(self) -> int:
        """Parameters of the experts that a token does not meet."""
        return (self.experts - self.active) * (self.expert + self.expert_vectors)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLayer:
    """One layer: what mixes its tokens (several side by side in some), its FFN, its norms, and whatever else it has.

    `extra_params` and `extra_macs` are matrices and products that are neither: hyper-connections, per-layer inputs.
    """

    mixers: tuple[Mixer, ...] = ()
    ffn: FeedForwardSizes = FeedForwardSizes()
    vectors: int = 0
    extra_params: int = 0
    extra_macs: int = 0

    @property
    def title(self) -> str:
        """What the layer is, for a table."""
        parts = [mixer.kind for mixer in self.mixers]
        return " ∥ ".join(parts) if parts else f"{self.ffn.kind} alone"

    @property
    def softmaxes(self) -> tuple[SoftmaxMixer, ...]:
        """Its softmax attentions."""
        return tuple(mixer for mixer in self.mixers if isinstance(mixer, SoftmaxMixer))

    @property
    def recurrences(self) -> tuple[RecurrentMixer, ...]:
        """Its recurrences and convolutions."""
        return tuple(mixer for mixer in self.mixers if isinstance(mixer, RecurrentMixer))

    @property
    def params(self) -> int:
        """All parameters, whether another layer shares them or not."""
        mixers = sum(m.weights + m.vectors for m in self.mixers)
        convolutions = sum(m.conv_kernel * m.conv_channels for m in self.recurrences)
        return mixers + convolutions + self.ffn.params + self.vectors + self.extra_params


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """Layers that are equal, and where they stand."""

    layer: ModelLayer
    where: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.where)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A whole model.

    `reused_params` are those that several layers share, counted once too often by the sum over layers. `outside_params`
    and `outside_macs` are matrices beside layers, embeddings and head. `notes` say what a reader should know.
    `word_width` is the width of a word's row where it is not D.
    """

    name: str
    model_type: str
    layers: tuple[ModelLayer, ...]
    dim: int
    vocab: int
    tied: bool
    embedding_params: int
    final_vectors: int
    reused_params: int = 0
    outside_params: int = 0
    outside_macs: int = 0
    notes: tuple[str, ...] = ()
    word_width: int | None = None

    def __iter__(self) -> Iterator[ModelLayer]:
        return iter(self.layers)

    @cached_property
    def groups(self) -> tuple[ModelGroup, ...]:
        """Equal layers together, in the order in which each kind first appears."""
        places: dict[ModelLayer, list[int]] = {}
        for index, layer in enumerate(self.layers):
            places.setdefault(layer, []).append(index)
        return tuple(ModelGroup(layer, tuple(where)) for layer, where in places.items())

    @property
    def decodes(self) -> bool:
        """Whether it makes one token after the other: no layer of it reads later ones."""
        return all(mixer.causal for layer in self.layers for mixer in layer.softmaxes)

    @property
    def head_weights(self) -> int:
        """Weights of the head: one row a word, those of the embedding where they are tied."""
        return (self.dim if self.word_width is None else self.word_width) * self.vocab

    @cached_property
    def params(self) -> int:
        """All distinct parameters."""
        layers = sum(group.count * group.layer.params for group in self.groups)
        head = 0 if self.tied else self.head_weights
        outside = self.embedding_params + self.final_vectors + self.outside_params - self.reused_params
        return layers + head + outside

    @cached_property
    def active_params(self) -> int:
        """Parameters but for those of experts that a token does not meet."""
        return self.params - sum(group.count * group.layer.ffn.idle_params for group in self.groups)
