"""Options and printing that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attnprof.model import LEVELS, SCHEMA_VERSION, Shape, Value, plain

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
OUT = click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.")
SETTINGS = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME.PARAM=VALUE",
    help="Set a scheme's parameter (PARAM=VALUE with one target), e.g. --set longformer.window=256.",
)
ARGUMENTS = click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Constructor argument of a module target; {n} stands for the length.",
)
CAUSAL = click.option("--causal/--no-causal", default=None, help="Default: the scheme's native setting.")


def sizes(command: F) -> F:
    """The options that make a `Shape`, for every command that costs something."""
    for option in reversed(
        (
            click.option("--batch", type=int, default=1, show_default=True, help="Sequences in a batch, b."),
            click.option("--dim", type=int, default=512, show_default=True, help="Model width, D."),
            click.option("--heads", type=int, default=8, show_default=True, help="Query heads, h."),
            click.option("--kv-heads", type=int, help="KV heads, g (grouped queries); default: as many as heads."),
            click.option("--keys", "m", type=int, help="Keys, m, of cross attention and encoder-decoder blocks."),
            click.option(
                "--level", type=click.Choice(LEVELS), default="attention", show_default=True, help="How much."
            ),
            click.option(
                "--dtype", type=click.Choice(["float32", "bfloat16", "float16", "float64"]), help="Precision."
            ),
            click.option("--depth", type=int, default=1, show_default=True, help="Blocks, with --level block."),
            click.option("--seed", type=int, default=0, show_default=True, help="Seed of random patterns and weights."),
            CAUSAL,
        )
    ):
        command = option(command)
    return command


def shape_of(n: int, *, causal: bool, dtype: str | None = None, **sizes: Any) -> Shape:
    """A checked shape from the options of `sizes`."""
    from attnprof.catalog import checked

    return checked(Shape(n=n, causal=causal, dtype=dtype or "float32", **sizes))


def emit(data: Mapping[str, Any]) -> None:
    """Print one JSON object with its schema version on standard output."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **plain(data)}, indent=2, allow_nan=False))


def notes() -> Console:
    """A rich console on standard error: progress and remarks; standard output carries data only."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def pairs(texts: tuple[str, ...]) -> dict[str, Value]:
    """`KEY=VALUE` options as a mapping; values are int, float, bool, none or text."""
    from attnprof.units import parse_setting

    return {setting.param: setting.value for setting in map(parse_setting, texts)}
