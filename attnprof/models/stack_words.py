"""A model as the text of a stack, layer by layer in the names of the catalogue, where it has a scheme for each.

It says who reads whom, through how many heads and how wide: keys and values of latent attention are plain ones here.
"""

from __future__ import annotations

from collections.abc import Sequence

from attnprof.errors import AttnprofError
from attnprof.models.architecture import Architecture, FeedForwardSizes, ModelLayer, RecurrentMixer, SoftmaxMixer
from attnprof.words import FfnKind

# Recurrences whose scheme of the catalogue is theirs by name.
STATES = ("gated_deltanet", "lightning", "mamba2")


def stack_text(model: Architecture) -> str:
    """The stack that the layers are, in the grammar of stacks; its period once, cut at the model's depth.

    Raises `AttnprofError` for a layer that no scheme of the catalogue is.
    """
    words = [_layer(layer, model.name) for layer in model]
    period = _period(words)
    runs: list[tuple[int, str]] = []
    for word in words[:period]:
        if runs and runs[-1][1] == word:
            runs[-1] = runs[-1][0] + 1, word
        else:
            runs.append((1, word))
    groups = " + ".join(f"{count} {word}" for count, word in runs)
    settings = f"dim={model.dim} vocab={model.vocab}" + ("" if model.decodes else " causal=false")
    return f"{groups} ; layers={len(words)} {settings}" if period < len(words) else f"{groups} ; {settings}"


def _period(words: Sequence[str]) -> int:
    """The least number of layers whose repetition, cut at the end, is all of them."""
    return next(p for p in range(1, len(words) + 1) if all(word == words[i % p] for i, word in enumerate(words)))


def _layer(layer: ModelLayer, name: str) -> str:
    if len(layer.mixers) > 1:
        raise _no_scheme(f"layers of {layer.title} side by side", name)
    mixer = layer.mixers[0] if layer.mixers else None
    if mixer is None:
        return f"none {_ffn(layer.ffn)}"
    written = _softmax(mixer, name) if isinstance(mixer, SoftmaxMixer) else _state(mixer, name)
    return f"{written} {_ffn(layer.ffn)}"


def _softmax(mixer: SoftmaxMixer, name: str) -> str:
    if mixer.compression is not None or mixer.indexer is not None:
        raise _no_scheme(f"layers that read {mixer.kind}", name)
    sizes = f"heads={mixer.heads} kv_heads={mixer.kv_heads} head_dim={mixer.head_dim}"
    if mixer.v_head_dim != mixer.head_dim:
        sizes += f" v_head_dim={mixer.v_head_dim}"
    if mixer.window is not None:
        window = mixer.window if mixer.causal else 2 * (mixer.window - 1)  # two-sided, and without oneself there
        return f"sliding_window window={window} {sizes}"
    if mixer.chunk is not None:
        return f"block_local block={mixer.chunk} look_back=0 {sizes}"
    return f"dense {sizes}"


def _state(mixer: RecurrentMixer, name: str) -> str:
    if mixer.kind not in STATES:
        raise _no_scheme(f"layers of {mixer.kind}", name)
    if mixer.kind == "mamba2":
        return f"mamba2 state={mixer.key_dim} heads={mixer.heads} head_dim={mixer.value_dim}"
    wide = f" v_head_dim={mixer.value_dim}" if mixer.value_dim != mixer.key_dim else ""
    return f"{mixer.kind} heads={mixer.heads} head_dim={mixer.key_dim}{wide}"


def _ffn(ffn: FeedForwardSizes) -> str:
    if ffn.kind == FfnKind.MOE:
        return f"ffn=moe width={ffn.width} experts={ffn.experts} active={ffn.active} shared={ffn.shared}"
    return "ffn=none" if ffn.kind == FfnKind.NONE else f"ffn={ffn.kind} width={ffn.width}"


def _no_scheme(what: str, name: str) -> AttnprofError:
    return AttnprofError(
        f"{name} has {what}, for which the catalogue has no scheme that could be drawn",
        hint=f"attnprof cost {name} knows its FLOPs, caches and how far each layer sees",
    )
