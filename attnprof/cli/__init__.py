"""The command line: one file a command, each parses, calls and prints."""

from attnprof.cli.main import main

__all__ = ["main"]
