"""How a user's own code is made and called, as its user says it: plain words and numbers, for a child process too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from attnprof.errors import AttnprofError
from attnprof.naming import short_name
from attnprof.records import JsonObject
from attnprof.units import Value, parse_setting
from attnprof.words import Layout


@dataclass(frozen=True)
class Usage:
    """What a user says of code; whatever is left out is found by the names of its parameters.

    `arguments` go to the constructor, those with a target's name before a dot (`Attention.heads`) to that target's.
    `config` is a JSON file, and `config_arguments` go to the class that the constructor's annotation names. `inputs`
    (`memory=b,m,D`), `call` (`m(x, x, x)`) and `output` (a name or an index) say how it is called; `layout` is the
    order of the axes.
    """

    arguments: JsonObject = field(default_factory=dict)
    config: str | None = None
    config_arguments: JsonObject = field(default_factory=dict)
    layout: Layout | None = None
    inputs: tuple[str, ...] = ()
    call: str | None = None
    output: str | None = None

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """The usage that `to_json` wrote."""
        layout = data["layout"]
        return cls(**{**data, "layout": None if layout is None else Layout(layout), "inputs": tuple(data["inputs"])})

    def to_json(self) -> dict[str, object]:
        """The plain form."""
        return dataclasses.asdict(self)

    def check_owners(self, texts: Sequence[str]) -> None:
        """Raise `AttnprofError` for an argument of a target that is none of these."""
        for name in self.arguments:
            owner, dot, word = name.rpartition(".")
            if dot and not any(_is_of(owner, text) for text in texts):
                named = " or ".join(f"{short_name(text)}.{word}" for text in texts[:2]) or word
                raise AttnprofError(f"--arg {name} is of no target here", hint=f"write --arg {named}=VALUE")

    def of_target(self, text: str) -> Usage:
        """What is said of the target that this text finds: its own arguments before those of all."""
        split = [(*name.rpartition("."), value) for name, value in self.arguments.items()]
        common = {word: value for owner, _, word, value in split if not owner}
        own = {word: value for owner, _, word, value in split if owner and _is_of(owner, text)}
        return dataclasses.replace(self, arguments={**common, **own})


def _is_of(owner: str, text: str) -> bool:
    """Whether a name before a dot is a target's: its attribute, all of its text, or the package that it is of."""
    return owner in (text, short_name(text)) or text.startswith((f"{owner}.", f"{owner}:"))


def settings_by_owner(texts: Iterable[str]) -> dict[str, Value]:
    """`KEY=VALUE` and `TARGET.KEY=VALUE` options as a mapping; values are int, float, bool, none or text."""
    found = map(parse_setting, texts)
    return {f"{s.target}.{s.param}" if s.target else s.param: s.value for s in found}
