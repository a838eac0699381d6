"""The one-line grammar of stacks of layers: what a text says, before any name in it is looked up.

    stack   = group { "+" group } [ ";" KEY=VALUE { KEY=VALUE } ]
    group   = [INT] NAME { KEY=VALUE } | [INT] "(" stack ")"

A name or value with a blank, `+`, `;`, a bracket or a quote in it stands in quotes. `format_stack` writes the one
canonical spelling, which `parse_stack` reads back: `5 sliding_window window=1024 + 1 dense ; layers=62`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from attnprof.errors import AttnprofError
from attnprof.units import Value, format_value, parse_value

FORMS = "5 sliding_window window=1024 + 1 dense ; layers=62, or 2 (3 linear + 1 dense kv_heads=2)"
MOST_LAYERS = 4096
MARKS = "()+;"
_TOKEN = re.compile(r"""[()+;]|(?:"[^"]*"|'[^']*'|[^\s()+;"'])+|["']""")
_SETTING = re.compile(r"([A-Za-z_]\w*)=(.*)", re.S)
_WORD = re.compile(r"""(?:[A-Za-z_]\w*=)?(?:"[^"]*"|'[^']*'|[^"']*)""", re.S)
_SPECIAL = re.compile(r"""[\s()+;"'=]""")


@dataclass(frozen=True, slots=True)
class LayerText:
    """One layer as it is written: what finds its mixer, and its settings; `at` is where its name stands."""

    name: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class StackText:
    """Groups of layers as they are written, each a layer or a stack with a count, and the settings of all of them."""

    groups: tuple[tuple[int, LayerText | StackText], ...]
    settings: Mapping[str, Value] = field(default_factory=dict)
    at: int = field(default=0, compare=False)

    def canonical(self) -> StackText:
        """The same without brackets that say nothing, neighbours that are alike as one group."""
        merged: list[tuple[int, LayerText | StackText]] = []
        for count, inner in self._flat():
            if merged and _inner(merged[-1][1]) == _inner(inner):  # by what is written: 1 is not true
                merged[-1] = merged[-1][0] + count, inner
            else:
                merged.append((count, inner))
        return replace(self, groups=tuple(merged))

    def _flat(self) -> Iterator[tuple[int, LayerText | StackText]]:
        for count, inner in self.groups:
            if isinstance(inner, LayerText):
                yield count, inner
                continue
            within = inner.canonical()
            if within.settings:
                yield count, within
            elif count == 1:
                yield from within.groups
            elif len(within.groups) == 1:
                yield count * within.groups[0][0], within.groups[0][1]
            else:
                yield count, within


class _Token(NamedTuple):
    text: str
    at: int

    @property
    def setting(self) -> tuple[str, Value] | None:
        """A key and its value, where the token is one."""
        found = _SETTING.fullmatch(self.text)
        return (found[1], parse_value(found[2])) if found and found[2] else None


def parse_stack(text: str) -> StackText:
    """What a text says, in its canonical form. Raises `AttnprofError` with a caret at the first fault."""
    tokens = [_Token(match[0], match.start()) for match in _TOKEN.finditer(text)]
    for token in tokens:
        if token.text in ("'", '"'):
            raise fault(text, token.at, "a quote that is not closed")
        if not _WORD.fullmatch(token.text):
            raise fault(text, token.at, "quotes stand around all of a name or value, or nowhere in it")
    found, rest = _stack(text, tokens, depth=0)
    if rest:
        raise fault(text, rest[0].at, "no bracket is open here")
    return found.canonical()


def fault(text: str, at: int, rule: str, hint: str = "") -> AttnprofError:
    """The error for one place of a text."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    caret = f"  {shown}\n  {' ' * at}^ {rule}"
    return AttnprofError(f"cannot read the stack:\n{caret}", hint=hint or f"write {FORMS}")


def _stack(text: str, tokens: list[_Token], depth: int) -> tuple[StackText, list[_Token]]:
    """A stack, up to the end or to the bracket that closes it, and the tokens after it."""
    start = tokens[0].at if tokens else len(text)
    groups: list[tuple[int, LayerText | StackText]] = []
    settings: dict[str, Value] = {}
    while True:
        group, tokens = _group(text, tokens, depth)
        groups.append(group)
        if not tokens or tokens[0].text != "+":
            break
        tokens = tokens[1:]
    if tokens and tokens[0].text == ";":
        settings, tokens = _settings(text, tokens[1:])
    if tokens and tokens[0].text != ")":
        raise fault(text, tokens[0].at, "expected + and a layer, or ; and settings of all layers")
    return StackText(tuple(groups), settings, start), tokens


def _group(text: str, tokens: list[_Token], depth: int) -> tuple[tuple[int, LayerText | StackText], list[_Token]]:
    count, first = 1, tokens[0] if tokens else None
    if first and first.text.isdecimal():
        count, tokens = int(first.text), tokens[1:]
        if not 1 <= count <= MOST_LAYERS:
            raise fault(text, first.at, f"a count is from 1 to {MOST_LAYERS}")
    if not tokens or tokens[0].text in (*"+;)", "''", '""') or tokens[0].setting:
        at = tokens[0].at if tokens else len(text)
        raise fault(text, at, "expected a layer: the name of a scheme, file.py, or file.py:Class")
    head, tokens = tokens[0], tokens[1:]
    if head.text == "(":
        if depth >= 16:
            raise fault(text, head.at, "brackets within brackets within brackets: too deep")
        inner, tokens = _stack(text, tokens, depth + 1)
        if not tokens:
            raise fault(text, head.at, "this bracket is not closed")
        return (count, inner), tokens[1:]
    settings, tokens = _settings(text, tokens)
    return (count, LayerText(_unquoted(head.text), settings, head.at)), tokens


def _settings(text: str, tokens: list[_Token]) -> tuple[dict[str, Value], list[_Token]]:
    found: dict[str, Value] = {}
    while tokens and tokens[0].text not in MARKS:
        setting = tokens[0].setting
        if setting is None:
            raise fault(text, tokens[0].at, "expected KEY=VALUE, or + before another layer")
        if setting[0] in found:
            raise fault(text, tokens[0].at, f"{setting[0]} is said twice")
        found[setting[0]] = setting[1]
        tokens = tokens[1:]
    return found, tokens


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def format_stack(stack: StackText) -> str:
    """The canonical spelling: every count said, settings in alphabetical order."""
    groups = " + ".join(f"{count} {_inner(inner)}" for count, inner in stack.groups)
    return f"{groups} ; {format_settings(stack.settings)}" if stack.settings else groups


def format_layer(layer: LayerText) -> str:
    """One layer without its count: `sliding_window window=1024`."""
    name = f'"{layer.name}"' if '"' not in layer.name else f"'{layer.name}'"
    plain = layer.name if not _SPECIAL.search(layer.name) and not layer.name.isdecimal() else name
    return f"{plain} {format_settings(layer.settings)}".rstrip()


def format_settings(settings: Mapping[str, Value]) -> str:
    """`KEY=VALUE` of each, in alphabetical order."""
    return " ".join(f"{key}={_value(settings[key])}" for key in sorted(settings))


def _inner(inner: LayerText | StackText) -> str:
    return format_layer(inner) if isinstance(inner, LayerText) else f"({format_stack(inner)})"


def _value(value: Value) -> str:
    """A value as it is read back: no sign in an exponent, which would end the layer; quotes around what needs them."""
    if isinstance(value, float):
        return format_value(value).replace("e+", "e")
    text = format_value(value)
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    if not isinstance(value, str) or quoted or (text and not _SPECIAL.search(text)):
        return text
    return f"'{text}'" if "'" not in text else f'"{text}"'
