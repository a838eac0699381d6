"""A stack as a subject of a model page: each kind of its layers counted once, as `cost` counts it, and its graph."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from attnprof.errors import AttnprofError
from attnprof.graph.analysis import Request, shape_of, subject_of
from attnprof.graph.stack_facts import reached_layers
from attnprof.layered_target import LayeredTarget, StackGroup
from attnprof.locate import shipped
from attnprof.models.reached import SeenTokens
from attnprof.naming import is_stack_text, short_name
from attnprof.plan.count_cache import CountCache, code_hash
from attnprof.plan.count_service import CountService, CountTask, ShareWatch
from attnprof.plan.ours import is_of_catalogue
from attnprof.records import JsonObject
from attnprof.render.layout.layer_strip import StripKind, folded
from attnprof.render.palette import family_of_scheme
from attnprof.render.subjects.configured_model import ffn_words
from attnprof.render.subjects.model_subject import CostPart, EqualLayers, KeptBytes, ModelSubject, PageAsk, PassWork
from attnprof.shapes import Shape, checked
from attnprof.usercode import fitted
from attnprof.words import DType, FfnKind, Level, Pass

PASS_OF: Mapping[str, Pass] = {"prefill": Pass.FORWARD, "train": Pass.TRAIN, "decode": Pass.DECODE}
LONGEST_GRAPH = 8192
LONGEST_NAME = 36
OF_CONFIGS = "read from a model's config, which a stack has none of"


def layered_tasks(target: LayeredTarget, ask: PageAsk) -> dict[tuple[str, int], CountTask]:
    """What has to be counted of a stack, by pass and length. Raises `AttnprofError` for sizes that cannot be."""
    shape = fitted(
        target, Shape(ask.lengths[0], causal=target.card.native_causal, level=Level.BLOCK, dtype=DType(ask.dtype))
    )
    kept = is_of_catalogue(target)
    return {
        (name, n): CountTask("groups", target, checked(shape.replace(n=n)), pass_, kept=kept)
        for name, pass_ in PASS_OF.items()
        for n in ask.lengths
    }


def layered_model(target: LayeredTarget, ask: PageAsk, service: CountService) -> ModelSubject:
    """The subject of a stack. Raises `AttnprofError` for layers that cannot be counted."""
    tasks = layered_tasks(target, ask)
    answers = {at: service.answer(task) for at, task in tasks.items()}
    shape = tasks["prefill", ask.lengths[0]].shape
    first = answers["prefill", ask.lengths[0]]
    reasons = {
        "engines": f"what engines allocate is {OF_CONFIGS}",
        "frameworks": f"frameworks' formulas are {OF_CONFIGS}",
    }
    reasons |= {name: answer["why"] for (name, _), answer in answers.items() if answer.get("why")}
    reasons["limit"] = f'attnprof limit "{target.name}" --memory {ask.memory} counts what fits, one pass at a time'
    params = [part["param_bytes"] for part in (*first["groups"], *first["ends"])]
    known = None if None in params else sum(params) // shape.dtype.bytes
    seen, at, why = _seen(target, min(max(ask.lengths), LONGEST_GRAPH))
    if why:
        reasons["seen"] = why
    return ModelSubject(
        name=target.name,
        short=_short(target),
        source="the text of the stack" if is_stack_text(target.name) else f"the file {target.name}",
        kinds=tuple(_kind(group, row, shape) for group, row in zip(target.groups(shape), first["groups"], strict=True)),
        work={at: made for at, answer in answers.items() if (made := _work(answer, at)) is not None},
        kept=_kept(answers, ask.lengths),
        seen=seen,
        seen_at=at,
        params=known,
        active=_active(known, first["groups"], shape),
        reasons=reasons,
    )


def _short(target: LayeredTarget) -> str:
    """A name for figures: the schemes of the layers, repeats folded, without their settings; or that of the file."""
    if not is_stack_text(target.name):
        return short_name(target.name)
    at = {layer: group for group in target.groups(Shape(LONGEST_GRAPH)) for layer in group.layers}
    names = [group.mixer.name if (group := at[layer]).mixer else "FFN" for layer in sorted(at)]
    kinds = list(dict.fromkeys(names))
    runs = folded([kinds.index(name) for name in names])
    texts = [" + ".join(f"{count} {kinds[kind]}" for count, kind in run.period) for run in runs]
    parts = [f"{run.times} ({text})" if run.times > 1 else text for run, text in zip(runs, texts, strict=True)]
    return " + ".join(parts if sum(map(len, parts)) <= LONGEST_NAME else [parts[0], "…"])


def _work(answer: JsonObject, at: tuple[str, int]) -> PassWork | None:
    """The parts of one pass, as the rows of `cost` have them; None where some figure of theirs is missing."""
    groups = [_parts(row) for row in answer["groups"]]
    if not groups or None in groups:
        return None
    made = [each[0] for each in groups if each]
    ends = {CostPart.HEAD: sum(end["flops_executed"] or 0 for end in answer["ends"])}
    parts = {part: sum(each.get(part, 0) for each in (*made, ends)) for part in CostPart}
    executed = frozenset(part for each in groups if each for part in each[1])
    return PassWork(at[1] if at[0] != Pass.DECODE else 1, parts, tuple(sum(each.values()) for each in made), executed)


def _parts(row: JsonObject) -> tuple[dict[CostPart, int], set[CostPart]] | None:
    """The parts of one group: of a core what its edges need, or what it executes where nothing says what they need."""
    recurrent = row["recurrence_flops"] is not None
    core = CostPart.RECURRENCE if recurrent else CostPart.CORE
    useful = row["recurrence_flops"] if recurrent else row["flops_core_useful"]
    ffn = row["ffn_flops_active"]
    found = {
        CostPart.PROJECTIONS: row["proj_flops"],
        core: row["flops_core_executed"] if useful is None else useful,
        CostPart.SELECTION: row["selection_flops"] or 0,
        CostPart.FFN: (row["ffn_flops_executed"] or 0) if ffn is None else ffn,
    }
    executed = {part for part, known in ((core, useful), (CostPart.FFN, ffn)) if known is None and found[part]}
    return None if None in found.values() else (found, executed)


def _kept(answers: Mapping[tuple[str, int], JsonObject], lengths: Sequence[int]) -> dict[int, KeptBytes]:
    found = {}
    for n in lengths:
        rows = answers["prefill", n]["groups"]
        held = [row["state_bytes"] for row in rows]
        if rows and None not in held:
            found[n] = KeptBytes(sum(held), sum(row["state_growth_bytes"] or 0 for row in rows), tuple(held))
    return found


def _active(params: int | None, rows: Sequence[JsonObject], shape: Shape) -> int | None:
    """Parameters but for those of experts that a token does not meet: three matrices each."""
    idle = sum(
        row["count"] * (row["ffn"]["experts"] - row["ffn"]["active"]) * 3 * shape.dim * row["ffn"]["width"]
        for row in rows
        if row["ffn"].get("experts")
    )
    return None if params is None else params - idle


def _kind(group: StackGroup, row: JsonObject, shape: Shape) -> EqualLayers:
    ffn, mixer = group.ffn, group.mixer
    strip = StripKind(
        label=group.label if mixer else "",
        families=(family_of_scheme(mixer.name),) if mixer else (),
        experts=f"{ffn['active']} of {ffn['experts']}" if ffn.get("experts") else "",
        bare=ffn.get("kind") == FfnKind.NONE,
        shares_kv=group.shares_kv,
    )
    own = group.shape
    wide = f"/{own.d_v}" if own.d_v != own.d else ""
    sizes = f"{own.heads} heads, {own.groups} KV, width {own.d}{wide}" if mixer else ""
    held = row["param_bytes"]
    return EqualLayers(strip, group.layers, sizes, ffn_words(ffn), None if held is None else held // shape.dtype.bytes)


def _seen(target: LayeredTarget, n: int) -> tuple[tuple[SeenTokens, ...], int | None, str]:
    """What a token sees at most after each layer of the graph, None where all of n; the n, or why there is no graph."""
    try:
        shape = shape_of(target, Request(n=n))
        ask = Request(n=n, layers=target.graph(shape).layers)
        layers = reached_layers(target, shape, subject_of(target, shape, ask))
    except AttnprofError as error:
        return (), None, error.message
    found = [
        SeenTokens(None if e.get("max") == n else e.get("max"), e["state_numbers"]) for e in layers if e.get("max")
    ]
    return tuple(found), n, "" if found else "the graph is sampled, and tells no greatest reach"


def layered_models(targets: Sequence[LayeredTarget], ask: PageAsk, watch: ShareWatch) -> list[ModelSubject]:
    """The subjects of several stacks: counted by as many processes as help, remembered for the next time."""
    files = sorted(shipped("patterns").glob("*.py"))
    with contextlib.closing(CountService(CountCache(code_hash(files)))) as service:
        tasks = [task for target in targets for task in layered_tasks(target, ask).values()]
        service.prepare(tasks, watch)
        for done, task in enumerate(tasks, start=1):
            service.answer(task)
            watch(done, len(tasks))
        return [layered_model(target, ask, service) for target in targets]
