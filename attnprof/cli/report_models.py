"""`attnprof report` of models and stacks: from names and options to a page, nothing run for it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from itertools import filterfalse
from pathlib import Path
from typing import TYPE_CHECKING

from attnprof.cli.options import Options, note
from attnprof.cli.progress import counting_bar
from attnprof.cli.report import OF_RUNS, refuse_typed, told
from attnprof.errors import AttnprofError
from attnprof.layered_target import LayeredTarget
from attnprof.models.caches import precision
from attnprof.models.lookup import is_model, model_named
from attnprof.plan.accelerators import TABLE, accelerator, memory_of
from attnprof.targets import catalog, door
from attnprof.units import format_bytes, parse_lengths

if TYPE_CHECKING:
    from attnprof.render.subjects.model_subject import ModelSubject, PageAsk

FILE = "models.html"
USUAL, USUAL_OF_STACKS = "1k-1m", "2k-512k:x4"  # each length of a stack is counted three times, a second each


def page(named: Sequence[str], folders: Sequence[Path], options: Options) -> int:
    """Write the page of the models and stacks that are named, and say where it is.

    Raises `AttnprofError` for what is neither, for runs among them, and for options that only pages of runs have.
    """
    for name in named:
        _refuse_neither(name)
    if folders:
        raise AttnprofError(
            f"{folders[0]} is a run and {next(filterfalse(_is_folder, named))} a model: they have no page in common",
            hint="ask for runs and for models in two commands",
        )
    refuse_typed(OF_RUNS, "a model")
    from attnprof import __version__
    from attnprof.render.claims import of_models
    from attnprof.render.claims.told import plain, said
    from attnprof.render.model_page import usual, write_model_page

    ask = _asked(options, USUAL_OF_STACKS if any(not is_model(name) for name in named) else USUAL)
    subjects = _subjects(list(dict.fromkeys(named)), ask)
    path = options["out"] or Path(FILE)
    path = path / FILE if path.is_dir() else path
    header = {
        "command": f"attnprof {shlex.join(sys.argv[1:])}",
        "version": __version__,
        "memory": _memory(options["memory"], ask),
        "weights": ask.weights,
        "caches": ask.kv + (f", one of {ask.tp} devices" if ask.tp > 1 else ""),
    }
    written = write_model_page(path, subjects, header)
    claims = [plain(said(of_models.spent(s, "prefill", usual(s.lengths)))) for s in subjects]
    models = [name for name in named if is_model(name)]
    following = f"attnprof cost {shlex.quote(models[0] if models else named[0])} --lengths 8k,128k"
    return told(options["as_json"], written, (written,), following, claims)


def _is_folder(name: str) -> bool:
    return Path(name).is_dir()


def _refuse_neither(name: str) -> None:
    """Raise `AttnprofError` for a name that is no run, no model and no stack."""
    if _is_folder(name) or is_model(name) or door.is_stack(name):
        return
    if name in catalog.names():
        raise AttnprofError(
            f"{name} is a scheme, and a page is of runs, models or stacks",
            hint=f'attnprof sweep {name} leaves a run; a stack of it: "1 {name}"',
        )
    where = "exists, but is no folder" if Path(name).exists() else "is not there"
    raise AttnprofError(
        f"{name} is not a run (it {where}), nor a model or stack",
        hint='a run folder that attnprof sweep left, hf:gpt_oss_20b, "5 sliding_window + 1 dense", or a stack.toml',
    )


def _asked(options: Options, usual: str) -> PageAsk:
    from attnprof.render.subjects.model_subject import PageAsk

    dtype = precision(options["dtype"] or "bfloat16")
    known = options["memory"].lower() in {entry.name for entry in TABLE}
    return PageAsk(
        lengths=parse_lengths(options["lengths"] or usual),
        memory=memory_of(options["memory"]),
        card=accelerator(options["memory"]) if known else None,
        dtype=dtype,
        kv=precision(options["kv_dtype"] or dtype),
        weights=precision(options["weights_dtype"] or dtype),
        tp=options["tp"],
    )


def _memory(text: str, ask: PageAsk) -> str:
    size = format_bytes(ask.memory)
    return f"{size} ({text.lower()})" if ask.card else size


def _subjects(named: Sequence[str], ask: PageAsk) -> list[ModelSubject]:
    """The subjects in the order of their names: models read, stacks counted."""
    from attnprof.render.subjects.configured_model import configured_model
    from attnprof.render.subjects.model_subject import distinguished_subjects

    found = {name: configured_model(model_named(name), ask) for name in named if is_model(name)}
    stacks = [name for name in named if name not in found]
    if stacks:
        from attnprof.render.subjects.layered_model import layered_models

        targets = [_stack(name) for name in stacks]
        note(
            f"counting the layers of {len(stacks)} stack{'s' if len(stacks) != 1 else ''} at {len(ask.lengths)} lengths"
        )
        with counting_bar() as watch:
            found |= dict(zip(stacks, layered_models(targets, ask, watch), strict=True))
    return distinguished_subjects([found[name] for name in named])


def _stack(name: str) -> LayeredTarget:
    target = door.find(name)
    if not isinstance(target, LayeredTarget):
        raise AttnprofError(f"{name} is no stack", hint="5 sliding_window window=1024 + 1 dense ; layers=62")
    return target
