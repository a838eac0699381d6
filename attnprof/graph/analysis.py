"""A target's graph from end to end: pattern, engine, metrics, seeds, pictures."""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.graph.metrics.components import weak_components
from attnprof.graph.metrics.hubs import hub_tokens, remove
from attnprof.graph.randomness import Trials, trials
from attnprof.graph.reach import Ask
from attnprof.graph.record import describe
from attnprof.graph.sandwich import bounds, certified
from attnprof.graph.subject import Subject
from attnprof.graph.views import Views, views
from attnprof.model import Shape
from attnprof.pattern import Explicit, Expr, Pattern
from attnprof.scheme import Target
from attnprof.usercode import own_mistakes
from attnprof.words import EngineName

DEFAULT_N = 4096
DRAWN_N = 1024
REDRAWN = 4
PROBED_N = 256
ALL_ROWS = 512
SAMPLED_ROWS = 256
PROBED_HEADS = 2
PROBED_WIDTH = 16
DRAWS = 5
BLOCK_PARAMETERS = ("window_blocks", "random_blocks", "global_blocks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to find out about a target. None takes the paper's value, the scheme's native causality, or closure.

    `heads` and `dim` are 8 and 512 for schemes, 2 and 32 for a module that is probed; `against` is the pattern that a
    module is said to have.
    """

    n: int | None = None
    causal: bool | None = None
    layers: int | None = None
    heads: int | None = None
    dim: int | None = None
    seed: int = 0
    seeds: int = 100
    engine: EngineName = EngineName.AUTO
    side: int = 256
    without_globals: bool = False
    trials: int = 3
    against: Target | None = None


@dataclass(frozen=True, eq=False)
class Analysis:
    """The facts by their JSON keys, and what they were computed of."""

    facts: dict[str, Any]
    subject: Subject
    shape: Shape

    def views(self) -> Views:
        """The pictures for a page."""
        return views(self.subject)


def analyze(target: Target, request: Request) -> Analysis:
    """The graph of a target. Raises `AttnprofError` where it has no pattern that could be drawn."""
    began = time.perf_counter()
    shape = shape_of(target, request)
    probed = None
    if not hasattr(target, "graph"):
        subject, probed = probe_module(target, shape, request)
    else:
        subject = subject_of(target, shape, request)
    removed = 0
    if request.without_globals:
        subject, removed = without_globals(subject)
    facts = describe(subject, target.name, target.resolve(shape.n))
    facts |= {"n": shape.n, "globals_removed": removed, "random": None, "probe": probed, "bounds": None}
    sure = getattr(target, "sure", None)
    if sure is not None:
        facts = certified(facts, bounds(sure, subject.pattern.slices(), subject.ask, shape.causal))
    if request.n is None and target.card.data_dependent:
        facts["reasons"]["n"] = (
            f"drawn for random data with several seeds, so at no more than {DRAWN_N} tokens unless asked"
        )
    facts |= _seeds(target, shape, request)
    facts["seconds"] = time.perf_counter() - began
    return Analysis(facts, subject, shape)


def shape_of(target: Target, request: Request) -> Shape:
    """The sizes that a request stands for."""
    card = target.card
    causal = card.native_causal if request.causal is None else request.causal
    if causal not in card.causality:
        raise AttnprofError(
            f"{target.name} has no {'causal' if causal else 'bidirectional'} form",
            hint=f"`attnprof show {target.name}` says why; leave --{'causal' if causal else 'no-causal'} out",
        )
    n = request.n or card.paper_n or DEFAULT_N
    if request.n is None and card.data_dependent:
        n = min(n, DRAWN_N)
    if not hasattr(target, "graph"):
        heads = request.heads or PROBED_HEADS
        dim = request.dim or PROBED_WIDTH * heads
        return Shape(n=request.n or PROBED_N, causal=causal, seed=request.seed, heads=heads, dim=dim)
    return Shape(n=n, causal=causal, heads=request.heads or 8, dim=request.dim or 512, seed=request.seed)


def subject_of(target: Target, shape: Shape, request: Request) -> Subject:
    """The pattern bound to a shape, with what is asked of it."""
    edges = getattr(target, "edges", None)
    return Subject(
        pattern_of(target, shape, request.layers),
        Ask(request.layers, request.side, seed=request.seed),
        request.engine,
        target.card.edges_text,
        edges(shape) if edges else None,
        redrawn=redrawn(target),
    )


def probe_module(target: Target, shape: Shape, request: Request) -> tuple[Subject, dict[str, Any]]:
    """A module's pattern as its outputs show it: all rows up to 512 tokens, 256 spread ones beyond."""
    from attnprof.graph import findings
    from attnprof.graph.probe import recover

    rows = None if shape.n <= ALL_ROWS else np.unique(np.linspace(0, shape.n - 1, SAMPLED_ROWS).astype(np.int64))
    with own_mistakes(target, shape):
        module = target.build(shape)
        found = recover(module, lambda: target.inputs(shape), shape.heads, request.trials, rows)
    declared = None if request.against is None else subject_of(request.against, shape, request).stack.plain
    results = findings.findings(found, shape.causal, declared[0] if declared else None)
    edges = found.slices()
    pattern = Pattern(target.name, shape.n, shape.causal, lambda layer, head: Explicit(edges))
    subject = Subject(pattern, Ask(request.layers, request.side, seed=request.seed), request.engine)
    return subject, findings.to_json(found, results)


def without_globals(subject: Subject) -> tuple[Subject, int]:
    """The subject over the tokens that are not global, and how many are; raises `AttnprofError` where none is."""
    gone = hub_tokens(subject.stack)
    count = int(gone.sum())
    if count == 0:
        raise AttnprofError(f"{subject.pattern.name} has no global tokens to take out", hint="leave the option out")
    pattern = subject.pattern

    def draw(layer: int, head: int) -> Expr:
        return Explicit(remove(pattern.slices(layer, head), gone))

    rest = Pattern(pattern.name, pattern.n - count, pattern.causal, draw, pattern.layers, pattern.heads)
    return dataclasses.replace(subject, pattern=rest, edges_value=None), count


def pattern_of(target: Target, shape: Shape, layers: int | None) -> Pattern:
    """Who attends to whom; a pattern that is drawn for each layer gets as many layers as are asked for, else four.

    What depends on the data is drawn once, for all layers: its layers see different data anyway.
    """
    graph = getattr(target, "graph", None)
    pattern = graph(shape) if graph else target.pattern(shape)
    if pattern is None:
        raise AttnprofError(f"{target.name} declares no pattern", hint="a module's is recovered: file.py:Module")
    if pattern.layers == 1 and redrawn(target):
        return dataclasses.replace(pattern, layers=layers or REDRAWN)
    return pattern


def redrawn(target: Target) -> bool:
    """Whether every layer has a draw of its own, from a seed and not from data."""
    return {"layer", "seed"} <= _takes(target) and not target.card.data_dependent


def _takes(target: Target) -> set[str]:
    draw = getattr(getattr(target, "entry", None), "draw", None)
    return set(inspect.signature(draw).parameters) if draw else set()


def is_random(target: Target) -> bool:
    """Whether its pattern depends on a seed."""
    return "seed" in _takes(target)


def _seeds(target: Target, shape: Shape, request: Request) -> dict[str, Any]:
    if not is_random(target) or request.seeds < 1:
        return {}
    if all(name in target.parameters for name in BLOCK_PARAMETERS) and shape.n % int(_block(target, shape)) == 0:
        return {"random": ablation(target, shape, request)}
    return draws(target, shape, request)


def _block(target: Target, shape: Shape) -> int:
    return int(target.resolve(shape.n)["block"])  # type: ignore[arg-type]


def ablation(target: Target, shape: Shape, request: Request) -> dict[str, Any]:
    """What each part of a window + random + global pattern gives, over seeds.

    One head's draw, the same in every layer, is the graph that the random-graph argument speaks of; a model has many
    heads, and draws anew in every layer.
    """
    depth = request.layers or 12
    variants = {
        "random only": {"window_blocks": 0, "global_blocks": 0},
        "window only": {"random_blocks": 0, "global_blocks": 0},
        "window + random": {"global_blocks": 0},
        "window + random + globals": {},
    }
    found = {}
    for name, changes in variants.items():
        one = _varied(target, changes)
        seeds = range(1) if name == "window only" else range(request.seed, request.seed + request.seeds)
        for heads, scope in ((1, ""), (shape.heads, f", {shape.heads} heads")):
            if name == "window only" and heads > 1:
                continue
            size = shape.replace(heads=heads, dim=max(shape.dim // shape.heads, 1) * heads)
            kinds = 1 if heads == 1 else depth
            result = trials(lambda seed: _drawn(one, size.replace(seed=seed), kinds), seeds, depth)  # noqa: B023
            found[name + scope] = result.to_json()
    return found


def _varied(target: Target, changes: Mapping[str, int]) -> Any:
    return dataclasses.replace(target, parameters={**target.parameters, **changes})  # type: ignore[type-var]


def _drawn(target: Any, shape: Shape, layers: int) -> Pattern:
    return dataclasses.replace(target.graph(shape), layers=layers)


def draws(target: Target, shape: Shape, request: Request) -> dict[str, Any]:
    """A pattern that depends on the data, drawn for random data with several seeds: the spread of its numbers."""
    seeds = [request.seed + k for k in range(min(request.seeds, DRAWS))]
    rows = []
    for seed in seeds:
        subject = subject_of(target, shape.replace(seed=seed), dataclasses.replace(request, side=0, seed=seed))
        rows.append(_draw_facts(subject))
    numbers = {key: _spread([row[key] for row in rows]) for key in rows[0] if key != "shares"}
    depth = max(len(row["shares"]) for row in rows)
    shares = np.asarray([row["shares"] + [row["shares"][-1]] * (depth - len(row["shares"])) for row in rows])
    whole = Trials(shares, np.asarray([row["unread_keys"] > 0 for row in rows]), shape.heads).to_json()
    return {"random": {"drawn for random data": whole}, "over_seeds": {"seeds": len(seeds), **numbers}}


def _draw_facts(subject: Subject) -> dict[str, Any]:
    reach = subject.reach
    shares = (np.cumsum(reach.histogram) / reach.pairs).tolist()
    facts = {
        "layers_to_full": reach.layers_to_full,
        "mean_hops": reach.mean_hops,
        "components": weak_components(subject),
        "shares": shares[1:] or shares,
        "unread_keys": 0,
    }
    if not subject.has_edges():
        return facts
    first = subject.relation()
    return {
        **facts,
        "edges": first.edges,
        "density": first.edges / subject.n**2,
        "dead_queries": int((first.out_degree() == 0).sum()),
        "unread_keys": int((first.in_degree() == 0).sum()),
    }


def _spread(values: list[Any]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    low, middle, high = np.quantile(known, (0.025, 0.5, 0.975))
    return {"low": float(low), "median": float(middle), "high": float(high)}
