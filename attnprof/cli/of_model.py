"""`cost`, `limit` and `audit --frameworks` of whole models (`hf:...`): from options to an answer, and its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from attnprof.cli.options import Options, emit, explicit
from attnprof.errors import AttnprofError
from attnprof.models.caches import CacheAsk, precision
from attnprof.models.lookup import is_model, model_named
from attnprof.plan.accelerators import TABLE, accelerator, memory_of
from attnprof.plan.model_cost import ModelAsk, cost_of_model
from attnprof.plan.model_limit import frameworks_of_model, limit_of_model
from attnprof.records import JsonDict
from attnprof.units import parse_lengths
from attnprof.words import Pass

if TYPE_CHECKING:
    from attnprof.cli.options import F
    from attnprof.models.lookup import NamedModel

PASS_NAMES: Mapping[str, str] = {Pass.FORWARD: "prefill", Pass.TRAIN: "train", Pass.DECODE: "decode"}
OF_CACHES = {"kv_dtype", "sequences", "tp"}
OF_COST = {"targets", "lengths", "passes", "as_json", "dtype", "check_module", "drafts", *OF_CACHES}
OF_LIMIT = {"target", "memory", "lengths", "as_json", "dtype", "weights_dtype", "card", "kv_dtype", "tp"}
OF_AUDIT = {"target", "frameworks", "lengths", "as_json"}


def cache_options(command: F) -> F:
    """The options that say how a model's caches are kept."""
    for option in reversed(
        (
            click.option(
                "--kv-dtype", help="hf: precision of keys and values: bf16, fp8, nvfp4, ... Default: --dtype."
            ),
            click.option("--tp", type=click.IntRange(1), default=1, show_default=True, help="hf: tensor parallel."),
        )
    ):
        command = option(command)
    return command


def of_models(names: Sequence[str]) -> bool:
    """Whether targets are whole models. Raises `AttnprofError` where some are and some are not.

    Where none is, for an option that is of models alone.
    """
    models = [name for name in names if is_model(name)]
    if models and len(models) < len(names):
        other = next(name for name in names if not is_model(name))
        raise AttnprofError(
            f"{models[0]} is a whole model, and {other} a scheme: they have no table in common",
            hint="ask for models and for schemes in two commands",
        )
    if not models:
        _refuse_of_models(names)
    return bool(models)


def _refuse_of_models(names: Sequence[str]) -> None:
    """Raise `AttnprofError` for an option that was typed and is of whole models alone: its help begins with `hf:`."""
    context = click.get_current_context()
    for option in context.command.params:
        if isinstance(option, click.Option) and (option.help or "").startswith("hf:") and option.name in explicit():
            raise AttnprofError(
                f"{option.opts[0]} is of a whole model, and {names[0] if names else 'a scheme'} is none",
                hint=f"a whole model is hf:MODEL_TYPE: attnprof {context.info_name} hf:llama {option.opts[0]} ...",
            )


def refuse_models(names: Sequence[str]) -> None:
    """Raise `AttnprofError` for a whole model where targets are built and measured."""
    for name in names:
        if is_model(name):
            raise AttnprofError(
                f"{name} is a whole model, which is not measured: its parameters alone seldom fit here",
                hint=f"attnprof cost {name} knows its FLOPs, caches and limits; stacks of its layers are measured",
            )


def refuse_options(taken: set[str]) -> None:
    """Raise `AttnprofError` for an option that was typed and says nothing of a whole model."""
    for name in explicit():
        if name not in taken:
            raise AttnprofError(
                f"--{name.replace('_', '-')} says nothing of a whole model: its sizes are those of its config",
                hint="change them in the target: hf:MODEL_TYPE:KEY=VALUE,...",
            )


def cost(options: Options) -> int:
    """What each model costs, and keeps."""
    from attnprof.cli.model_text import show_cost

    refuse_options(OF_COST)
    passes = options["passes"] if "passes" in explicit() else tuple(PASS_NAMES)
    dtype = precision(options["dtype"] or "bfloat16")
    ask = ModelAsk(
        lengths=parse_lengths(options["lengths"]),
        passes=tuple(PASS_NAMES[each] for each in passes),
        q=options["drafts"],
        sequences=options["sequences"],
        kv=precision(options["kv_dtype"] or dtype),
        dtype=dtype,
        tp=options["tp"],
    )
    answers = []
    for name in options["targets"]:
        named = model_named(name)
        answer = cost_of_model(named, ask)
        answer["certificate"] = certificate(named) if options["check_module"] else None
        answers.append(answer)
    if options["as_json"]:
        emit(answers[0] if len(answers) == 1 else {"targets": answers})
    else:
        for answer in answers:
            show_cost(answer)
    return 0


def certificate(named: NamedModel) -> JsonDict:
    """The module beside the formulas, or why it could not be asked."""
    from attnprof.plan.module_check import checked_module

    try:
        return checked_module(named).to_json()
    except AttnprofError as error:
        return {"formula_equals_module": None, "why": error.message}


def limit(options: Options) -> int:
    """What fits into a memory."""
    from attnprof.cli.model_text import show_limit

    refuse_options(OF_LIMIT)
    dtype = precision(options["dtype"] or "bfloat16")
    memory = memory_of(options["memory"])
    card = options["card"]
    if card is None and options["memory"].lower() in {entry.name for entry in TABLE}:
        card = options["memory"]
    answer = limit_of_model(
        model_named(options["target"]),
        memory,
        parse_lengths(options["lengths"]),
        ask=CacheAsk(n=1, kv=precision(options["kv_dtype"] or dtype), dtype=dtype, tp=options["tp"]),
        weights_dtype=precision(options["weights_dtype"] or dtype),
        card=None if card is None else accelerator(card),
    )
    if options["as_json"]:
        emit(answer)
    else:
        show_limit(answer)
    return 0


def audit(options: Options) -> int:
    """What frameworks' formulas say."""
    from attnprof.cli.model_text import show_frameworks

    refuse_options(OF_AUDIT)
    answer = frameworks_of_model(model_named(options["target"]), parse_lengths(options["lengths"]))
    if options["as_json"]:
        emit(answer)
    else:
        show_frameworks(answer)
    return 0
