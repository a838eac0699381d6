"""A stack as a TOML file: `[[layer]]` tables with `repeat`, `mixer`, `ffn` and sizes; what holds for all above them.

    layers = 62

    [[layer]]
    repeat = 5
    mixer = "sliding_window"
    window = 1024

    [[layer]]
    mixer = "dense"

A table with `[[layer.layer]]` tables in it is a group of layers. A mixer's file is looked for beside the TOML file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from attnprof.errors import AttnprofError
from attnprof.targets.stack_text import LayerText, StackText
from attnprof.units import Value

LAYER, REPEAT, MIXER = "layer", "repeat", "mixer"
NO_MIXER = "none"
EXAMPLE = '[[layer]] on a line, mixer = "dense" on the next'


def read_stack(path: Path) -> StackText:
    """What a file says, in its canonical form. Raises `AttnprofError` with the table in which the fault is."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AttnprofError(f"{path} is no TOML: {error}", hint=EXAMPLE) from error
    return _stack(data, path, str(path)).canonical()


def _stack(data: Mapping[str, object], path: Path, where: str) -> StackText:
    tables = data.get(LAYER)
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise AttnprofError(f"{where} has no [[{LAYER}]] table", hint=EXAMPLE)
    groups = tuple(_group(table, path, f"{where}, layer {at}") for at, table in enumerate(tables, start=1))
    return StackText(groups, _settings(data, (LAYER,), where))


def _group(table: Mapping[str, object], path: Path, where: str) -> tuple[int, LayerText | StackText]:
    count = table.get(REPEAT, 1)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise AttnprofError(f"{where}: repeat is {count!r}, but it is a whole number, at least 1", hint="repeat = 5")
    if LAYER in table:
        if MIXER in table:
            raise AttnprofError(f"{where} has both a mixer and layers", hint="one of the two")
        inner = {key: value for key, value in table.items() if key != REPEAT}
        return count, _stack(inner, path, where)
    mixer = table.get(MIXER, NO_MIXER)
    if not isinstance(mixer, str):
        raise AttnprofError(f"{where}: mixer is {mixer!r}, but it is a text", hint='mixer = "dense"')
    return count, LayerText(_beside(mixer, path), _settings(table, (REPEAT, MIXER), where))


def _beside(mixer: str, path: Path) -> str:
    """A mixer's text, its file by the path from here."""
    file, colon, attribute = mixer.rpartition(":")
    found = path.parent / (file if colon else mixer)
    return (f"{found}:{attribute}" if colon else str(found)) if found.suffix == ".py" and found.is_file() else mixer


def _settings(table: Mapping[str, object], besides: tuple[str, ...], where: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key, value in table.items():
        if key in besides:
            continue
        if isinstance(value, list) and all(isinstance(each, int) for each in value):
            value = ",".join(map(str, value))  # one for each head, as the line has it
        if not isinstance(value, int | float | bool | str):
            raise AttnprofError(f"{where}: {key} is a {type(value).__name__}, but it is a number or a text")
        found[key] = value
    return found
