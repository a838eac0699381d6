"""What the installed transformers has for a model type: the defaults of its config class, under their own names.

The import of transformers takes a second; nothing here is asked for unless a check against the module is.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from typing import Any

from attnprof.errors import AttnprofError
from attnprof.records import JsonDict

# Keys that say nothing about sizes.
OTHER = frozenset(
    (
        "architectures",
        "attention_dropout",
        "bos_token_id",
        "chunk_size_feed_forward",
        "dtype",
        "embd_pdrop",
        "eos_token_id",
        "hidden_act",
        "hidden_activation",
        "hidden_dropout",
        "id2label",
        "initializer_range",
        "is_encoder_decoder",
        "label2id",
        "layer_norm_eps",
        "layer_norm_epsilon",
        "max_position_embeddings",
        "model_max_length",
        "model_type",
        "norm_eps",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "pretraining_tp",
        "problem_type",
        "resid_pdrop",
        "residual_dropout",
        "return_dict",
        "rms_norm_eps",
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
        "router_aux_loss_coef",
        "router_jitter_noise",
        "sep_token_id",
        "time_step_floor",
        "time_step_limit",
        "time_step_max",
        "time_step_min",
        "eod_token_id",
        "transformers_version",
        "use_cache",
        "w_init_variance_scale",
    )
)


# Model types whose positions are rows of an embedding: how many there are says something about their size.
LEARNED_POSITIONS = frozenset(("opt", "bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "albert"))


def available() -> bool:
    """Whether transformers is installed."""
    return importlib.util.find_spec("transformers") is not None


def config_kind(model_type: str) -> Any:
    """The config class of a model type. Raises `AttnprofError` where transformers or the type is missing."""
    if not available():
        raise AttnprofError("transformers is not installed", hint="pip install attnprof[hf], or leave out --check")
    from transformers import CONFIG_MAPPING

    if model_type not in CONFIG_MAPPING:
        import transformers

        raise AttnprofError(
            f"transformers {transformers.__version__} has no model type {model_type!r}",
            hint="the readers' answer stands unchecked; leave out --check",
        )
    return CONFIG_MAPPING[model_type]


def class_defaults(model_type: str) -> JsonDict:
    """The defaults that the class states, before it derives anything from them."""
    kind = config_kind(model_type)
    aliases = class_aliases(model_type)
    found = {}
    for field in dataclasses.fields(kind):
        learned = field.name == "max_position_embeddings" and model_type in LEARNED_POSITIONS
        if (field.name in OTHER and not learned) or field.name.startswith("_"):
            continue
        made = field.default_factory
        value = field.default if made is dataclasses.MISSING else made()
        if value is not dataclasses.MISSING:
            found[aliases.get(field.name, field.name)] = list(value) if isinstance(value, tuple) else value
    return found


def class_aliases(model_type: str) -> dict[str, str]:
    """Other names that the class knows its keys by."""
    return dict(config_kind(model_type).attribute_map)


def differences(model_type: str, shipped: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """Defaults in which the shipped table and the installed class differ: ours, theirs."""
    theirs = class_defaults(model_type)
    return {key: (value, theirs[key]) for key, value in shipped.items() if key in theirs and theirs[key] != value}
