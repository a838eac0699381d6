"""A parameter of a scheme, stated once: its default and where that is from, what it may be, how it follows n."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from attnprof.errors import AttnprofError, unknown
from attnprof.pattern.listed import numbers
from attnprof.units import Value

STEPS = (1024, 4096, 16384, 65536)


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: its default, and the source of that (paper and section, or whose choice it is).

    `least`: what a number must at least be. `most`: what it is clipped to at a length: `"n"`, the name of another
    parameter, or a function. `follows`: the function that makes it where it is None. Such a function takes n and, by
    keyword, other parameters: those stated before it as they are at n, the others as given.
    `words`: all that it may be. `by_head`: it may be several integers joined by commas, one for each group of heads.
    `by_length`: what practitioners set at the lengths `STEPS`, each up to the next; no paper's default.
    """

    default: Value = None
    source: str = ""
    least: int = 0
    most: str | Callable[..., int] | None = None
    follows: Callable[..., int] | None = None
    words: tuple[str, ...] = ()
    by_head: bool = False
    by_length: tuple[Value, Value, Value, Value] | None = None

    @classmethod
    def of(cls, stated: inspect.Parameter) -> Param:
        """The parameter that a keyword of a user's function is: its default, a list too if annotated `int | str`."""
        listed = {int, str} <= set(get_args(stated.annotation)) or stated.annotation in ("int | str", "str | int")
        return cls(stated.default, by_head=listed)

    def check(self, owner: str, name: str, value: Value) -> None:
        """Raise `AttnprofError` where a value is no word of it, of another kind than its default, or too small."""
        if self.words and value not in self.words:
            raise unknown(f"{name} of {owner}", str(value), self.words)
        if isinstance(value, str) and self.by_head:
            numbers(value)
            return
        if isinstance(self.default, str) != isinstance(value, str) and self.default is not None:
            raise AttnprofError(
                f"{owner}.{name} is {value!r}, but its default is {self.default!r}",
                hint=f"e.g. --set {owner}.{name}={self.default}",
            )
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value < self.least:
            raise AttnprofError(
                f"{owner}.{name} is {value}, but it is at least {self.least}",
                hint=f"its default is {'a function of n' if self.default is None else self.default}",
            )

    def at(self, n: int, value: Value, others: Mapping[str, Value]) -> Value:
        """A value of it at length n: made from n where it is None, and no larger than it can be there."""
        if value is None and self.follows is not None:
            value = self.follows(n, **accepted(self.follows, **others))
        most = self._most(n, others)
        return min(value, most) if isinstance(value, int) and isinstance(most, int) else value

    def _most(self, n: int, others: Mapping[str, Value]) -> Value:
        if isinstance(self.most, str):
            return {**others, "n": n}[self.most]
        return None if self.most is None else self.most(n, **accepted(self.most, **others))

    def usual(self, n: int) -> Value:
        """What practitioners set at length n: that of the last step not above it, below all steps that of the first."""
        assert self.by_length is not None
        return self.by_length[max(0, sum(n >= step for step in STEPS) - 1)]


def accepted(function: Callable[..., Any], **offered: Any) -> dict[str, Any]:
    """Of the keywords offered, those that the function takes."""
    known = _keywords(function)
    return {k: v for k, v in offered.items() if k in known}


@cache
def _keywords(function: Callable[..., object]) -> frozenset[str]:
    """What a function takes; asked once, since a random pattern is drawn thousands of times."""
    return frozenset(inspect.signature(function).parameters)


def at_length(params: Mapping[str, Param], values: Mapping[str, Value], n: int) -> dict[str, Value]:
    """Values of parameters at length n, each after those stated before it."""
    found = dict(values)
    for name, param in params.items():
        found[name] = param.at(n, found[name], found)
    return found
