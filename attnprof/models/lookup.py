"""From a text `hf:...` to an architecture: a model type with overrides, a config file, or a public model by name.

    hf:gpt_oss                                                the defaults of the class
    hf:gpt_oss:num_hidden_layers=24,num_local_experts=32      with overrides
    hf:gpt_oss_20b                                            a public model: its overrides are shipped
    hf:./config.json                                          a file

No network is asked and no weights are read. Everything comes from two tables of facts that are shipped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from attnprof.errors import AttnprofError, unknown
from attnprof.models.architecture import Architecture
from attnprof.models.model_config import ModelConfig
from attnprof.models.readers import READERS
from attnprof.records import JsonDict, JsonObject
from attnprof.units import parse_value

PREFIX = "hf:"
# Keys that a reader knows though the class has no field of that name: checkpoints and earlier releases have them.
LEGACY = frozenset(
    (
        "attn_type_list",
        "full_attention_interval",
        "global_head_dim",
        "head_dim",
        "hybrid_override_pattern",
        "index_skip_topk_offset",
        "index_topk_freq",
        "linear_attn_config",
        "num_global_key_value_heads",
        "sliding_window_pattern",
    )
)


@dataclass(frozen=True)
class NamedModel:
    """What `hf:...` names: the layers, and the values that they were read from."""

    architecture: Architecture
    config: ModelConfig
    overrides: JsonObject
    source: str


def is_model(text: str) -> bool:
    """Whether a text names a model."""
    return text.startswith(PREFIX)


def model_named(text: str) -> NamedModel:
    """The model that a text names. Raises `AttnprofError` for unknown types, names and keys, with the nearest ones."""
    body = text.removeprefix(PREFIX)
    if body.endswith(".json"):
        return _of_file(Path(body), text)
    name, colon, given = body.partition(":")
    overrides = _overrides(given) if colon else {}
    known = public_models().get(name)
    if known is not None:
        source = f"shipped facts of {known['title']}"
        return _read(known["model_type"], {**known["overrides"], **overrides}, source, text, strict=True)
    model_type = TEXT_PARTS.get(name, name)
    if model_type not in READERS:
        raise unknown("model", name, [*READERS, *public_models()])
    return _read(model_type, overrides, "the defaults of its class", text, strict=True)


# Composites keep the language model's config under a model type of its own.
TEXT_PARTS = {name.removesuffix("_text"): name for name in READERS if name.endswith("_text")}


def _of_file(path: Path, text: str) -> NamedModel:
    """A model from the config.json that its checkpoint has; of a composite the language model."""
    try:
        values = json.loads(path.read_text())
    except OSError as error:
        raise AttnprofError(
            f"cannot read {path}: {error.strerror}", hint="hf:./config.json is the path of a file"
        ) from error
    except ValueError as error:
        raise AttnprofError(f"{path} is no JSON: {error}", hint="a config file is one JSON object") from error
    inner = values.get("text_config") if isinstance(values, dict) else None
    if isinstance(inner, dict):
        values = {"model_type": TEXT_PARTS.get(values.get("model_type", ""), values.get("model_type")), **inner}
    model_type = values.get("model_type") if isinstance(values, dict) else None
    if not isinstance(model_type, str):
        raise AttnprofError(f"{path} names no model_type", hint=f"of {', '.join(READERS)}")
    model_type = model_type if model_type in READERS else TEXT_PARTS.get(model_type, model_type)
    if model_type not in READERS:
        raise unknown("model type", model_type, READERS)
    return _read(model_type, values, f"the file {path.name}", text, strict=False)


def _read(model_type: str, given: JsonObject, source: str, name: str, *, strict: bool) -> NamedModel:
    facts = class_facts()[model_type]
    aliases = facts["aliases"]
    overrides = {aliases.get(key, key): value for key, value in given.items()}
    if strict:
        for key in overrides:
            if key not in facts["defaults"] and key not in LEGACY:
                raise unknown(f"key of {model_type}", key, [*facts["defaults"], *aliases])
    config = ModelConfig(model_type, {**facts["defaults"], **overrides}, aliases)
    architecture = replace(READERS[model_type](config), name=name)
    if not architecture.layers:
        raise AttnprofError(f"{name} has no layers", hint="num_hidden_layers is at least 1")
    return NamedModel(architecture, config, overrides, source)


def _overrides(text: str) -> JsonDict:
    """`key=value,...`; a value in brackets is JSON: layer_types=["full_attention"]."""
    found: dict[str, object] = {}
    for part in _split(text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise AttnprofError(f"{part!r} is no override", hint="overrides are KEY=VALUE, joined by commas")
        found[key.strip()] = _value(value.strip())
    return found


def _value(text: str) -> object:
    if not text.startswith(("[", "{")):
        return parse_value(text)
    try:
        return json.loads(text)
    except ValueError as error:
        raise AttnprofError(f"{text} is no JSON: {error}", hint='lists are JSON: ["full_attention"]') from error


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [part for part in [*parts, text[start:]] if part.strip()]


@cache
def class_facts() -> dict[str, JsonDict]:
    """The defaults of config classes, and other names of their keys, by model type."""
    return _facts("defaults.json")


@cache
def public_models() -> dict[str, JsonDict]:
    """Public models by name: their model type, in what they differ from its defaults, and what they are called."""
    return _facts("public_models.json")


def _facts(file: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((Path(__file__).parent / file).read_text())
    return found
