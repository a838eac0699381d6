"""The `attnprof` command: finds the subcommand, turns the one exception into one message and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import click

from attnprof import __version__
from attnprof.errors import AttnprofError, out_of_memory


class Command(NamedTuple):
    """A subcommand: its name, which is also its module in `attnprof.cli` and the click object in it, and one line."""

    name: str
    about: str


COMMANDS: tuple[Command, ...] = (
    Command("sweep", "Cost schemes at many lengths; leaves records and a page."),
    Command("graph", "Who can reach whom: reach, hops, bottlenecks of a pattern."),
    Command("cost", "What a scheme must spend, as closed forms and certified numbers."),
    Command("check", "What a careful colleague would find: leaks, gradients, padding, precision, growth."),
    Command("audit", "What the installed FLOP counters say, beside the exact count."),
    Command("limit", "The longest sequence that fits into a memory."),
    Command("report", "The page of a run; figures, tables and bibliography for a paper."),
    Command("compare", "Faster or slower, point by point, with intervals."),
    Command("list", "Every scheme in the catalogue."),
    Command("show", "One scheme: rule, parameters, closed forms, leaks, BibTeX."),
    Command("schema", "The form of a run's files, as a JSON schema."),
    Command("doctor", "What is amiss on this machine, and its fix."),
)

START = """Start with:
  attnprof sweep longformer flash --lengths 1k-8k    measure two schemes, two minutes
  attnprof graph longformer                          what a token can reach, layer by layer
  attnprof list                                      every scheme there is
"""


class Lazy(click.Group):
    """A group that imports a subcommand only when it is used, so that `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [command.name for command in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"attnprof.cli.{module_name(cmd_name)}")
        return module.command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from attnprof.errors import unknown

            if "No such command" in error.message:
                raise click.UsageError(str(unknown("command", args[0], self.list_commands(ctx))), ctx) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.about) for command in COMMANDS])


def module_name(command: str) -> str:
    """The module of a command: its name, unless that shadows a builtin."""
    return "listing" if command == "list" else command


@click.group(cls=Lazy, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="attnprof")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """The cost of attention: FLOPs, memory, time and energy of a scheme as the sequence grows, and what it can reach.

    A TARGET is a scheme of the catalogue (`attnprof list`), your own pattern file (`my_pattern.py`), or your own code:
    `file.py:Class`, `package.module:Class` (an nn.Module), `file.py:function` (a mask_mod or an attention function).
    Several in order are a stack: "5 sliding_window window=1024 + 1 dense ; layers=62", or a file `stack.toml`.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        click.echo(f"\n{START}")


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 unusable input, 2 usage, 3 points failed, 4 regression or leak, 130."""
    ready_streams()
    try:
        code = cli.main(args=args, prog_name="attnprof", standalone_mode=False)
    except AttnprofError as error:
        report(error.message, error.hint)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show(sys.stderr)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: what is finished is kept; the same command resumes", err=True)
        sys.exit(130)
    except SystemExit as error:  # a command gives its code back: this is a target's own code
        report(f"the code of a target ended the process: SystemExit: {error.code}", "raise an exception in its place")
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a name too long, a folder that is a file, a disk that is full: the system says which
        report(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), "check the path")
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        report(f"memory ran out: {str(error).splitlines()[0] if str(error) else 'MemoryError'}", "a shorter length")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def ready_streams() -> None:
    """Make both streams take any text: a closed one goes nowhere, and what an encoding lacks is escaped."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def report(message: str, hint: str) -> None:
    """An error as a reader sees it, on standard error."""
    click.echo(click.style("error: ", fg="red", bold=True) + message, err=True)
    if hint:
        click.echo(click.style(" hint: ", fg="cyan") + hint, err=True)
