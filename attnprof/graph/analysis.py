"""A target's graph from end to end: pattern, engine, metrics, seeds, pictures."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from attnprof.contracts import SchemeTarget, Target
from attnprof.errors import AttnprofError, out_of_memory
from attnprof.graph.ablation import ablation, is_of_blocks
from attnprof.graph.bounds import bounds, certified
from attnprof.graph.causality import Seen, causality
from attnprof.graph.draws import (
    Tell,
    depth_of,
    drawn_subject,
    is_random,
    over_seeds,
    redrawn,
    silent,
    told_of_draws,
    usual_seeds,
)
from attnprof.graph.layered import signature
from attnprof.graph.metrics.hubs import global_tokens, rest_of
from attnprof.graph.reach import ReachRequest
from attnprof.graph.record import describe
from attnprof.graph.selection import clipped, reads_all
from attnprof.graph.stack_facts import differing, stack_facts
from attnprof.graph.subject import ClosedEdges, Subject
from attnprof.graph.views import Views, views
from attnprof.layered_target import LayeredTarget
from attnprof.pattern import Explicit, Expr, Kernel, Pattern, Slices
from attnprof.records import JsonDict, JsonObject
from attnprof.shapes import Shape
from attnprof.usercode import UserCode, labels_of, own_mistakes
from attnprof.words import EngineName

DEFAULT_N = 4096
SHORTEST, LONGEST = 1024, 8192
"""Where the default n of a scheme that selects by its data is looked for."""

PROBED_N = 256
ALL_ROWS = 512
SAMPLED_ROWS = 256
PROBED_HEADS = 2
PROBED_WIDTH = 16
ABLATED, ABLATED_LAYERS = 100, 12
HALF = 0.5
UNSEEDED = "one draw is long work at this size: other seeds are drawn where they are asked for, e.g. --seeds 6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to find out about a target. None takes the paper's value, the scheme's native causality, or closure.

    `heads` and `dim` are 8 and 512 for schemes, 2 and 32 for a module that is probed; `against` is the pattern that a
    module is said to have, or another one to compare a pattern with. `seeds` None: 100 of a block pattern, 6 to 12 of
    any other, by its size; 0 for none.
    """

    n: int | None = None
    causal: bool | None = None
    layers: int | None = None
    heads: int | None = None
    dim: int | None = None
    seed: int = 0
    seeds: int | None = None
    engine: EngineName = EngineName.AUTO
    side: int = 256
    without_globals: bool = False
    trials: int = 3
    against: Target | None = None


@dataclass(frozen=True, eq=False)
class Analysis:
    """The facts by their JSON keys, what they were computed of, and the labels that nobody knows to be true of it."""

    facts: JsonDict
    subject: Subject
    shape: Shape
    unknown: tuple[str, ...] = ()

    def views(self) -> Views:
        """The pictures for a page."""
        return views(self.subject)


def analyze(target: Target, request: Request, tell: Tell = silent) -> Analysis:
    """The graph of a target; `tell(what, done, total)` hears of long work.

    Beside the metrics the facts hold `causal_asked`, `causal_found`, `leak` (edges to the future where none was due),
    `causality` (both in a line), `pairs` (of which shares are taken); `drawn` (seed and layers of a random pattern, of
    which all else is one draw), `over_seeds` (medians with intervals), `unseeded` (why there are none); `selection`
    (how many queries read all they may), `clipped` (parameters too large for n); `stack`, layer by layer, of a stack;
    `against`, what only one of two patterns reaches. Raises `AttnprofError` where there is
    no pattern that could be drawn.
    """
    began = time.perf_counter()
    shape = shape_of(target, request)
    if isinstance(target, LayeredTarget):
        request = dataclasses.replace(request, layers=_layers_of(target, shape, request.layers))
    probed = None
    if not isinstance(target, SchemeTarget):
        subject, probed = probe_module(target, shape, request)
    else:
        subject = subject_of(target, shape, request)
    removed = 0
    if request.without_globals:
        subject, removed = without_globals(subject)
    facts = describe(subject, target.name, target.resolve(shape.n))
    facts |= {"n": shape.n, "globals_removed": removed, "random": None, "probe": probed, "bounds": None, "drawn": None}
    facts |= {"over_seeds": None, "unseeded": None, "stack": None, "against": None}
    sure = target.sure if isinstance(target, SchemeTarget) else None
    if sure is not None:
        facts = certified(facts, bounds(sure, subject.pattern.slices(), subject.ask, shape.causal))
    if isinstance(target, LayeredTarget) and not removed:
        facts["stack"] = stack_facts(target, shape, subject)
    if request.against is not None and probed is None:
        facts["against"] = _against(target, request.against, shape, request, subject)
    facts |= causality(subject.stack, _seen(target, request, probed, sure))
    facts |= _of_length(target, shape, request, subject)
    if is_random(target):
        facts = told_of_draws(facts, target, shape)
        facts |= _over_seeds(target, shape, request, subject, tell)
    if request.n is None and target.card.data_dependent:
        facts["reasons"]["n"] = _why_n(target, shape.n)
    facts["seconds"] = time.perf_counter() - began
    _, unknown = labels_of(target, shape)
    return Analysis(facts, subject, shape, unknown)


def _layers_of(target: LayeredTarget, shape: Shape, asked: int | None) -> int:
    """The layers of a stack that are looked at: those that mix tokens, or as many of them as are asked for."""
    count = target.graph(shape).layers
    if asked is not None and asked > count:
        raise AttnprofError(f"the stack has {count} layers that mix tokens, not {asked}", hint="a smaller --layers")
    return asked or count


def _against(target: Target, other: Target, shape: Shape, request: Request, subject: Subject) -> JsonObject:
    """What only one of two patterns reaches, after each layer."""
    size = shape
    if isinstance(other, LayeredTarget):
        size = other.fitted(shape, ())
        request = dataclasses.replace(request, layers=_layers_of(other, size, None))
    if size.causal not in other.card.causality and other.card.rule:
        raise AttnprofError(
            f"{other.name} has no {'causal' if size.causal else 'bidirectional'} form to compare with",
            hint="--causal or --no-causal, of which both have one",
        )
    theirs = subject_of(other, size, dataclasses.replace(request, side=0, against=None))
    depths = tuple(
        each.pattern.layers if isinstance(which, LayeredTarget) else None
        for which, each in ((target, subject), (other, theirs))
    )
    return differing(subject, theirs.stack, other.name, (depths[0], depths[1]), subject.ask.layers)


def _seen(target: Target, request: Request, probed: JsonObject | None, sure: Slices | None) -> Seen:
    card = target.card
    how = ""
    if probed is not None:
        how = f" in {probed['trials']} random input{'s' if probed['trials'] != 1 else ''}"
    elif is_random(target):
        how = " in this draw"
    return Seen(request.causal, card.native_causal if card.rule else None, how, sure)


def _of_length(target: Target, shape: Shape, request: Request, subject: Subject) -> dict[str, object]:
    """What the length does to the scheme: parameters it clips, and a selection that takes the whole sequence."""
    card = target.card
    selects = card.data_dependent and subject.kernel is None
    whole = reads_all(subject) if selects else None
    return {
        "clipped": clipped(target.parameters, target.resolve(shape.n)),
        "selection": None if whole is None else {"queries_reading_all": whole, "whole": whole == 1.0},
        "leaks_by_design": list(card.leaks) if shape.causal else [],
    }


def _why_n(target: Target, n: int) -> str:
    paper = target.card.paper_n
    return (
        f"drawn for random data, layer by layer and with several seeds: at {n:,} tokens"
        + (f", not at the paper's {paper:,}" if paper and paper != n else "")
        + ", unless asked"
    )


def shape_of(target: Target, request: Request) -> Shape:
    """The sizes that a request stands for."""
    card = target.card
    causal = card.native_causal if request.causal is None else request.causal
    if card.rule and causal not in card.causality:  # of a user's own pattern it is a question, answered by its edges
        raise AttnprofError(
            f"{target.name} has no {'causal' if causal else 'bidirectional'} form",
            hint=f"`attnprof show {target.name}` says why; leave --{'causal' if causal else 'no-causal'} out",
        )
    if not isinstance(target, SchemeTarget):
        return _shape_of_code(target, request, causal)
    n = request.n or card.paper_n or DEFAULT_N
    shape = Shape(n=n, causal=causal, heads=request.heads or 8, dim=request.dim or 512, seed=request.seed)
    return shape if request.n or not card.data_dependent else shape.replace(n=selecting_n(target, shape))


def _shape_of_code(target: Target, request: Request, causal: bool) -> Shape:
    """The sizes to probe a user's code at: those that it is made with, where they are known."""
    own = target.sizes if isinstance(target, UserCode) else {}
    heads = request.heads or own.get("heads") or PROBED_HEADS
    dim = request.dim or own.get("dim") or PROBED_WIDTH * heads
    shape = Shape(n=request.n or PROBED_N, causal=causal, seed=request.seed, heads=heads, dim=dim)
    with own_mistakes(target, shape):
        near = target.length_near(shape) if isinstance(target, UserCode) and request.n is None else None
    return shape if near is None else shape.replace(n=near)


def selecting_n(target: Target, shape: Shape) -> int:
    """A length at which a selection by the data selects: the first of 1024, 2048, ... at which at most half of the
    queries read all they may, no longer than the paper's or 8192.
    """
    longest = min(shape.n, LONGEST)
    n = min(longest, SHORTEST)
    while n < longest:
        one = redrawn(target, shape.replace(n=n, heads=1, dim=shape.d), 1)
        if isinstance(one.expr(), Kernel) or reads_all(Subject(one)) <= HALF:
            break
        n = min(2 * n, longest)
    return n


def subject_of(target: Target, shape: Shape, request: Request) -> Subject:
    """The pattern bound to a shape, with what is asked of it; where it is random, drawn anew for every layer."""
    random = is_random(target)
    of_stack = request.layers if isinstance(target, LayeredTarget) else None
    kinds = (of_stack or target.layers) if random else 0
    closed = closed_of(target, shape)

    def made(pattern: Pattern, layers: int | None) -> Subject:
        ask = ReachRequest(layers, request.side, seed=request.seed, drawn=random)
        return Subject(pattern, ask, request.engine, target.card.edges_text, closed, redrawn=kinds)

    if random:
        return drawn_subject(made, target, shape, request.layers)
    return made(pattern_of(target, shape), request.layers)


def closed_of(target: Target, shape: Shape) -> ClosedEdges | None:
    """The closed count of a layer and head, computed once for those that its formula does not tell apart."""
    if not isinstance(target, SchemeTarget):
        return None
    edges, told = target.edges, target.closed_context
    known: dict[tuple[int, int], int | None] = {}

    def closed(layer: int, head: int) -> int | None:
        at = (layer if "layer" in told else 0, head if "head" in told else 0)
        if at not in known:
            known[at] = edges(shape, *at)
        return known[at]

    return closed


def probe_module(target: Target, shape: Shape, request: Request) -> tuple[Subject, JsonDict]:
    """A module's pattern as its outputs show it: all rows up to 512 tokens, 256 spread ones beyond."""
    from attnprof.graph import findings
    from attnprof.graph.probe import recover

    rows = None if shape.n <= ALL_ROWS else np.unique(np.linspace(0, shape.n - 1, SAMPLED_ROWS).astype(np.int64))
    with own_mistakes(target, shape):
        own = target.followed(shape) if isinstance(target, UserCode) else None
        module, draw = own or (target.build(shape), lambda: target.inputs(shape))
        try:
            found = recover(module, draw, shape.heads, request.trials, rows)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise AttnprofError(f"memory ran out as it was probed at n = {shape.n}", hint="a shorter n") from error
    declared = None if request.against is None else subject_of(request.against, shape, request).stack.plain
    results = findings.findings(found, shape.causal, declared[0] if declared else None)
    edges = found.slices()
    pattern = Pattern(target.name, shape.n, shape.causal, lambda layer, head: Explicit(edges))
    subject = Subject(pattern, ReachRequest(request.layers, request.side, seed=request.seed), request.engine)
    return subject, findings.to_json(found, results)


def without_globals(subject: Subject) -> tuple[Subject, int]:
    """The subject over the tokens that are not global, and how many are; raises `AttnprofError` where none is."""
    gone, _ = global_tokens(subject.stack)
    count = int(gone.sum())
    pattern = subject.pattern
    if count == 0:
        raise AttnprofError(f"{pattern.name} has no global tokens to take out", hint="leave the option out")
    if count == pattern.n:
        raise AttnprofError(
            f"all {count:,} tokens of {pattern.name} are global: none is left", hint="choose a longer --n"
        )

    made: dict[Hashable, Expr] = {}

    def draw(layer: int, head: int) -> Expr:
        """Heads that shared a pattern share what is left of it."""
        expr = pattern.expr(layer, head)
        name = signature(expr)
        if name not in made:
            made[name] = rest_of(expr, pattern.n, gone)
        return made[name]

    rest = Pattern(pattern.name, pattern.n - count, pattern.causal, draw, pattern.layers, pattern.heads)
    return dataclasses.replace(subject, pattern=rest, closed=None), count


def pattern_of(target: Target, shape: Shape) -> Pattern:
    """Who attends to whom. Raises `AttnprofError` for a target that does not say."""
    pattern = target.graph(shape) if isinstance(target, SchemeTarget) else target.pattern(shape)
    if pattern is None:
        raise AttnprofError(f"{target.name} declares no pattern", hint="a module's is recovered: file.py:Module")
    return pattern


def _over_seeds(target: Target, shape: Shape, request: Request, subject: Subject, tell: Tell) -> JsonDict:
    """What other seeds give, where something is drawn that they would change."""
    if request.seeds == 0 or subject.kernel is not None or request.without_globals:
        return {}
    if is_of_blocks(target, shape.n):
        seeds = range(request.seed, request.seed + (request.seeds or ABLATED))
        return {"random": ablation(target, shape, seeds, request.layers or ABLATED_LAYERS, tell)}
    asked = dataclasses.replace(request, layers=depth_of(subject), side=0)

    def made(seed: int) -> Subject:
        return subject_of(target, shape.replace(seed=seed), dataclasses.replace(asked, seed=seed))

    count = usual_seeds(subject) if request.seeds is None else request.seeds
    if count == 0:
        return {"unseeded": UNSEEDED}
    began = time.perf_counter()
    found = over_seeds(made, range(request.seed, request.seed + count), shape.heads, tell)
    took = {"asked": request.seeds, "seconds": time.perf_counter() - began}
    name = "drawn for random data" if target.card.data_dependent else "drawn at random"
    return {
        "random": {name: found["random"] | {"drawn": True, "kept": False}},
        "over_seeds": found["over_seeds"] | took,
    }
