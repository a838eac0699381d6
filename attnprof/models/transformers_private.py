"""What is asked of transformers that it does not promise: its reference path, and masks on tensors without values.

Both patches hold while a module is made and run here, and are taken back after.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import sys
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any
from unittest.mock import patch

CACHES = ("cache", "past_key_values", "cache_params")


@contextlib.contextmanager
def reference_path(module: ModuleType) -> Iterator[None]:
    """Kernels of other packages, bound where a modelling file is imported, give way to the file's own functions.

    Each of them wraps its plain PyTorch form (`use_kernel_func_from_hub_with_fallback` of hub_kernels.py).
    """
    wrapped = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and "__wrapped__" in vars(value)
    }
    for name, value in wrapped.items():
        setattr(module, name, inspect.unwrap(value))
    try:
        yield
    finally:
        for name, value in wrapped.items():
            setattr(module, name, value)


@contextlib.contextmanager
def contiguous_sequences() -> Iterator[None]:
    """Masks take every sequence for whole, which ours are; on tensors without values they could not find out.

    `masking_utils.find_packed_sequence_indices` decides by values whether sequences are packed, and keeps the packed
    mask under tracing: causal attention would lose its skipping of tiles.
    """
    from transformers import masking_utils

    kept = masking_utils.find_packed_sequence_indices
    masking_utils.find_packed_sequence_indices = _not_packed
    try:
        yield
    finally:
        masking_utils.find_packed_sequence_indices = kept


def _not_packed(position_ids: object) -> None:
    return None


def modelling_file(kind: type) -> ModuleType:
    """The module that a model's class is defined in."""
    return sys.modules[kind.__module__]


def language_model_of(config: Any, *, decodes: bool = True) -> Any:
    """The class of the language model of a config, causal or for masked tokens; None where this release has none."""
    import transformers

    kind = transformers.AutoModelForCausalLM if decodes else transformers.AutoModelForMaskedLM
    return kind._model_mapping.get(type(config), None)


def cache_of(output: Mapping[str, object]) -> object:
    """The cache that a model returned, under the name that this release has for it; None without one."""
    return next((value for name, value in output.items() if name in CACHES), None)


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """Imports make objects that all live on: the collector passes over them in vain, an eighth of the time."""
    ran = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if ran:
            gc.enable()


def made_from(kind: Any, config: Any, **options: Any) -> Any:
    """A model of this class, its weights tied but not drawn: tensors without values have none to draw."""
    from transformers import PreTrainedModel

    with patch.object(PreTrainedModel, "initialize_weights", _not_drawn):
        return kind._from_config(config, **options)


def _not_drawn(self: object) -> None:
    return None
