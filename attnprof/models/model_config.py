"""A model's configuration as plain values: what was given over what its class has for defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from attnprof.errors import AttnprofError
from attnprof.records import JsonObject


@dataclass(frozen=True)
class ModelConfig:
    """The values of one model type; a key that has none, or None, is absent. `aliases` are other names of keys."""

    model_type: str
    values: JsonObject
    aliases: Mapping[str, str] = field(default_factory=dict)

    def given(self, key: str) -> Any:
        """The value under this name, or under that which the class has for it."""
        return self.values.get(key, self.values.get(self.aliases.get(key, key)))

    def maybe(self, key: str) -> int | None:
        """A whole number, or None where there is none. Raises `AttnprofError` for anything else."""
        found = self.given(key)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, (int, float)) or found != int(found):
            raise self._wrong(key, found, "a whole number")
        if found < 0:
            raise self._wrong(key, found, "a whole number of at least 0")
        return int(found)

    def size(self, key: str, default: int | None = None) -> int:
        """A whole number. Raises `AttnprofError` where there is none, and no default."""
        found = self.maybe(key)
        if found is None:
            found = default
        if found is None:
            raise AttnprofError(f"{self.model_type} has no {key}", hint=f"give it: hf:{self.model_type}:{key}=...")
        return found

    def flag(self, key: str, default: bool = False) -> bool:
        """Yes or no."""
        found = self.given(key)
        if found is None:
            return default
        if not isinstance(found, bool):
            raise self._wrong(key, found, "true or false")
        return found

    def refuse(self, key: str) -> None:
        """Raise `AttnprofError` where a switch is on that changes the layers in a way that is not read."""
        if self.given(key) not in (None, False):
            raise AttnprofError(f"{self.model_type} with {key} is not read", hint=f"leave {key} out")

    def listed(self, key: str) -> list[Any] | None:
        """A list, or None."""
        found = self.given(key)
        if found is None:
            return None
        if isinstance(found, (str, bytes)) or not isinstance(found, Sequence):
            raise self._wrong(key, found, "a list")
        return list(found)

    def table(self, key: str) -> JsonObject:
        """A table of its own; an empty one where there is none."""
        found = self.given(key)
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            raise self._wrong(key, found, "an object")
        return found

    @property
    def dim(self) -> int:
        """D."""
        return self.size("hidden_size")

    @property
    def depth(self) -> int:
        """How many layers there are."""
        return self.size("num_hidden_layers")

    def kinds(self, key: str, otherwise: Sequence[str], *, known: Sequence[str]) -> list[str]:
        """The word of each layer: as listed, else `otherwise`. Raises `AttnprofError` for unknown ones."""
        given = self.listed(key)
        words = [RENAMED.get(word, word) for word in (otherwise if given is None else given)]
        for word in words:
            if word not in known:
                raise AttnprofError(
                    f"{key} of {self.model_type} has {word!r}", hint=f"a layer of it is one of {', '.join(known)}"
                )
        if len(words) != self.depth:
            raise AttnprofError(
                f"{key} of {self.model_type} lists {len(words)} layers, and num_hidden_layers is {self.depth}",
                hint=f"give both: hf:{self.model_type}:num_hidden_layers={len(words)},...",
            )
        return words

    def _wrong(self, key: str, found: object, wanted: str) -> AttnprofError:
        return AttnprofError(f"{key} of {self.model_type} is {found!r}", hint=f"it has to be {wanted}")


# Earlier releases of transformers called layers otherwise.
RENAMED = {"attention": "full_attention", "mamba": "linear_attention", "recurrent": "linear_attention"}
