"""Options and printing that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attnprof.errors import AttnprofError
from attnprof.records import SCHEMA_VERSION, JsonObject, plain
from attnprof.shapes import Shape
from attnprof.targets import catalog
from attnprof.targets.usage import Usage, settings_by_owner
from attnprof.words import DType, Impl, Layout, Level, Pass, Word

if TYPE_CHECKING:
    from rich.console import Console

Options = Mapping[str, Any]  # what was typed or left at its default, by the names of a command's parameters
F = TypeVar("F", bound=Callable[..., object])


class WordParam(click.ParamType):
    """A closed word as an option's value; `several` of them joined by commas."""

    def __init__(self, kind: type[Word], *, several: bool = False, without: tuple[Word, ...] = ()) -> None:
        self.kind, self.several, self.without = kind, several, without
        self.name = kind.noun()

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The words to choose from."""
        choice = "|".join(word.value for word in self.kind if word not in self.without)
        return f"{choice},..." if self.several else f"[{choice}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word, or a tuple of words. Raises `AttnprofError` for one that is not to be had."""
        if isinstance(value, (Word, tuple)):
            return value
        found = self.kind.several(value) if self.several else self.kind(value)
        if found in self.without:
            left = ", ".join(word.value for word in self.kind if word not in self.without)
            raise AttnprofError(f"the {self.name} {value!r} cannot be asked for here", hint=f"of {left}")
        return found


class ImplParam(click.ParamType):
    """The name of an implementation, or the path of a user's own file."""

    name = "implementation"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Impl:
        """The name. Raises `AttnprofError` for one that is none."""
        return Impl(value)


AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
OUT = click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.")
SETTINGS = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME.PARAM=VALUE",
    help="Set a scheme's parameter (PARAM=VALUE with one target), e.g. --set longformer.window=256.",
)
OF_CODE = (
    click.option(
        "--arg",
        "arguments",
        multiple=True,
        metavar="[TARGET.]KEY=VALUE",
        help="Constructor argument of a module target; {n} stands for the length.",
    ),
    click.option("--config", metavar="FILE.json", help="Config of a module whose constructor takes one."),
    click.option(
        "--config-arg",
        "config_arguments",
        multiple=True,
        metavar="KEY=VALUE",
        help="One key of that config, e.g. --config-arg num_hidden_layers=2.",
    ),
    click.option(
        "--layout", type=WordParam(Layout), help="Order of the axes of a module's inputs. Default: as a probe finds it."
    ),
    click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="NAME=SIZES[:int]",
        help="An input of a module, e.g. memory=b,m,D. Default: by the names of its parameters.",
    ),
    click.option(
        "--call", metavar="'m(x, x)'", help="How a module is called. Default: by the names of its parameters."
    ),
    click.option("--output", metavar="NAME|INDEX", help="Which output counts. Default: the first floating tensor."),
)
PASSES = click.option(
    "--pass",
    "passes",
    type=WordParam(Pass, several=True),
    default="forward,train",
    show_default=True,
    help="What is run, joined by commas.",
)
IMPLEMENTATION = click.option(
    "--impl",
    type=ImplParam(),
    metavar="NAME",
    help="What computes the scheme: an implementation that `attnprof show` names, or a file.py of your own.",
)
RUNNER = click.option("--runner", "impl", type=ImplParam(), hidden=True)


def IMPL(command: F) -> F:
    """`--impl`, and its old name `--runner`, which is not shown."""
    return IMPLEMENTATION(RUNNER(command))


CAUSAL = click.option("--causal/--no-causal", default=None, help="Default: the scheme's native setting.")


def ARGUMENTS(command: F) -> F:
    """How a user's own code is made and called."""
    for option in reversed(OF_CODE):
        command = option(command)
    return command


def usage_of(options: Options, targets: Sequence[str]) -> Usage:
    """How a user's own code is made and called, by the options of `ARGUMENTS`.

    Raises `AttnprofError` for what is said of no target here.
    """
    arguments, config_arguments = (settings_by_owner(options[name]) for name in ("arguments", "config_arguments"))
    said = {name: options[name] for name in ("config", "layout", "inputs", "call", "output")}
    usage = Usage(arguments=arguments, config_arguments=config_arguments, **said)
    usage.check_owners(targets)
    if usage != Usage() and targets and all(text in catalog.names() for text in targets):
        raise AttnprofError(
            f"{', '.join(targets)} is no code of yours, of which it could be said how it is made or called",
            hint="parameters of a scheme are given by --set NAME.PARAM=VALUE",
        )
    return usage


def explicit() -> tuple[str, ...]:
    """The options of the present command that were typed, not left at their defaults."""
    context = click.get_current_context(silent=True)
    if context is None:
        return ()
    typed = click.core.ParameterSource.COMMANDLINE
    return tuple(name for name in context.params if context.get_parameter_source(name) is typed)


def sizes(command: F) -> F:
    """The options that make a `Shape`, for every command that costs something."""
    for option in reversed(
        (
            click.option("--batch", type=int, default=1, show_default=True, help="Sequences in a batch, b."),
            click.option("--dim", type=int, default=512, show_default=True, help="Model width, D."),
            click.option("--heads", type=int, default=8, show_default=True, help="Query heads, h."),
            click.option("--kv-heads", type=int, help="KV heads, g (grouped queries); default: as many as heads."),
            click.option("--head-dim", type=int, help="Width of a query or key head, d; default: D / h."),
            click.option("--v-head-dim", type=int, help="Width of a value head; default: d."),
            click.option("--keys", "m", type=int, help="Keys, m, of cross attention and encoder-decoder blocks."),
            click.option("--level", type=WordParam(Level), default="attention", show_default=True, help="How much."),
            click.option("--dtype", type=WordParam(DType), help="Precision."),
            click.option("--depth", type=int, default=1, show_default=True, help="Blocks, with --level block."),
            click.option("--seed", type=int, default=0, show_default=True, help="Seed of random patterns and weights."),
            CAUSAL,
        )
    ):
        command = option(command)
    return command


def shape_of(n: int, *, causal: bool, dtype: DType | None = None, **sizes: Any) -> Shape:
    """A checked shape from the options of `sizes`."""
    from attnprof.shapes import checked

    return checked(Shape(n=n, causal=causal, dtype=dtype or DType.FLOAT32, **sizes))


def emit(data: JsonObject) -> None:
    """Print one JSON object with its schema version on standard output."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **plain(data)}, indent=2, allow_nan=False))


def note(text: str) -> None:
    """Print a line on standard error as it is: texts that are not ours hold no markup, and paths are never wrapped."""
    click.echo(printable(text, sys.stderr), err=True)


def printable(text: str, stream: object) -> str:
    """A text as a stream can show it: what its encoding lacks, and bytes of a path that are no text, escaped."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def notes() -> Console:
    """A rich console on standard error: progress and remarks; standard output carries data only."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)
