"""`attnprof schema`: what the files of a run hold, for whoever reads them without attnprof."""

from __future__ import annotations

import json

import click


@click.command()
def command() -> int:
    """Print the JSON schema of a run: of the lines of records-*.jsonl, and under $defs/header of run.json."""
    from attnprof.run_files import schema

    click.echo(json.dumps(schema(), indent=2))
    return 0
