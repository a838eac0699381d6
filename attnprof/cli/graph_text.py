"""What `attnprof graph` prints: a small picture, then facts, each with how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click
import numpy as np

from attnprof.cli.graph_draws import over_seeds_lines, random_lines
from attnprof.cli.graph_edges import bottleneck_text, degree_text, edge_rows, edges_text, number, sure
from attnprof.cli.graph_heading import heading_lines, title
from attnprof.cli.graph_stack import against_lines, stack_lines
from attnprof.records import GraphFacts, JsonObject
from attnprof.units import counted, format_length, format_share

if TYPE_CHECKING:
    from attnprof.graph.analysis import Analysis

SHADES = " ·░▒▓█"
SIDE = 24
SHOWN = 8


def print_summary(analysis: Analysis) -> None:
    """The whole summary of one target, on standard output."""
    facts = analysis.facts
    click.echo(click.style(title(facts), bold=True))
    for line in [*heading_lines(facts), *picture(analysis), *caption(analysis)]:
        click.echo(f"  {line}")
    for label, text in lines(facts):
        click.echo(f"  {label:<22} {text}")
    below = [
        *against_lines(facts["against"], facts["target"]),
        *random_lines(facts["random"] or {}),
        *over_seeds_lines(facts),
    ]
    for line in [*below, *probe_lines(facts.get("probe"))]:
        click.echo(f"  {line}")
    click.echo("")


def picture(analysis: Analysis, side: int = SIDE) -> list[str]:
    """The mask of the first layer in characters, a row of queries a line; darker is denser."""
    from attnprof.graph.pixels import Grid
    from attnprof.graph.views import mask_image

    found = mask_image(analysis.subject, Grid.of(analysis.subject.n, side))
    if found is None:
        return []
    ink = np.nan_to_num(found.values)
    shade = np.where(ink > 0, 1 + np.minimum((ink**0.5 * 4).astype(int), 4), 0)
    return ["".join(SHADES[value] * 2 for value in row) for row in shade]


def caption(analysis: Analysis) -> list[str]:
    """What the picture shows, where that is not all of the pattern."""
    pattern, part = analysis.subject.pattern, analysis.subject.stack.parts[0]
    shown = []
    if part.ways is not None:
        shown = ["edges beside the slots"] if part.edges else []
        if not shown:
            return []
    shown += [f"layer 1 of {pattern.layers}"] if pattern.layers > 1 else []
    shown += [f"{pattern.heads} heads united"] if pattern.heads > 1 else []
    return [f"({', '.join(shown)})"] if shown else []


def lines(facts: GraphFacts) -> list[tuple[str, str]]:
    """Label and text of each fact; a missing one says why."""
    found = [
        ("edges", edges_text(facts)),
        *edge_rows(facts),
        ("keys a query reads", degree_text(facts)),
        ("pieces", _pieces(facts)),
        *stack_lines(facts["stack"], facts["n"]),
        ("reach by layer", _curve(facts)),
        ("bounds", _bounds(facts)),
        ("layers to full reach", _value(facts, "layers_to_full")),
        ("hops", _hops(facts)),
        ("diameter, radius", f"{_value(facts, 'diameter')}" + _radius(facts)),
        ("without globals", _without(facts)),
        ("influence", _influence(facts)),
        ("spectral gap", _gap(facts)),
        ("clustering", _clustering(facts)),
        ("lanes", _lanes(facts)),
        ("bottleneck", bottleneck_text(facts)),
        ("structure", _structure(facts)),
        ("edges / reached pair", _cost(facts)),
        ("engine", f"{facts['engine']}, {facts['engine_seconds']:.3f} s of {facts['seconds']:.2f} s"),
    ]
    return [(label, text) for label, text in found if text]


def _value(facts: GraphFacts, key: str) -> str:
    if facts[key] is None:
        return f"- ({facts['reasons'].get(key, 'not known')})"
    return f"{facts[key]}{sure(facts, key)}"


def _pieces(facts: Mapping[str, object]) -> str:
    pieces = facts["components"]
    if pieces == 1:
        return "1 (connected)"
    return f"{pieces:,} that " + ("do not meet in this draw" if facts["drawn"] else "never meet")


def _curve(facts: GraphFacts) -> str:
    reach = facts["reach"]
    shown = [_share(entry) for entry in reach[:SHOWN]]
    if len(reach) > SHOWN:
        shown.append(f"... {_share(reach[-1])}")
    return "  ".join(shown) + f" of {_pairs(facts)}{sure(facts, 'reach')}"


def _share(entry: JsonObject) -> str:
    text = f"L{entry['layer']} {format_share(entry['share'])}"
    low, high = entry.get("low"), entry.get("high")
    return text if low is None or high is None or low == high else f"{text} [{format_share(low)}, {format_share(high)}]"


def _pairs(facts: Mapping[str, object]) -> str:
    if facts["leak"] is not None:
        return "all pairs (they leak, so that none is forbidden)"
    return "allowed pairs"


def _hops(facts: Mapping[str, object]) -> str:
    if facts["mean_hops"] is None:
        return ""
    far = f", at most {facts['max_hops']}" if facts["max_hops"] is not None else ""
    return f"mean {facts['mean_hops']:.4f}{sure(facts, 'mean_hops')}, 90% within {facts['effective_diameter_90']}{far}"


def _radius(facts: Mapping[str, object]) -> str:
    if facts["radius"] is None:
        return ""
    unit = facts["diameter_unit"]
    return f", {facts['radius']}" + ("" if unit == "layers" else f", counted in {unit}")


def _globals(facts: Mapping[str, object], count: int) -> str:
    """`128 global tokens` of a pattern that declares them; `2 hubs` of a mask that does not say."""
    return counted(count, "global token") if facts["hubs_by"] == "declared" else f"{counted(count, 'hub')} by degree"


def _without(facts: GraphFacts) -> str:
    rest = facts["without_globals"]
    if facts.get("globals_removed"):
        gone = facts["globals_removed"]
        return f"{counted(gone, 'token')} {'is' if gone == 1 else 'are'} taken out of all the figures here"
    if rest is None:
        return "- (every token is global)" if facts["hubs"] else ""
    full = rest["layers_to_full"]
    drawn = facts["drawn"]
    short = f"not full in this draw of {counted(drawn['layers'], 'layer')}" if drawn else "not full within the search"
    depth = f"full after {counted(full, 'layer')}" if full else "never full" if rest["closed"] and not drawn else short
    them = "it" if facts["hubs"] == 1 else "them"
    return f"{_globals(facts, facts['hubs'])}; without {them} {depth}, L2 {_share_at(rest['reach'], 2):.2%}"


def _share_at(reach: Sequence[JsonObject], layer: int) -> float:
    return [entry["share"] for entry in reach if entry["layer"] <= layer][-1]


def _influence(facts: GraphFacts) -> str:
    if not facts["mixing"]:
        return ""
    half = facts["mixing"][0]
    at, depth = min(1, len(half["layers"]) - 1), half["layers"][-1]
    return (
        f"of token {half['token']} on output {half['output']}, {_evenly(facts)}, residual {half['residual']}: "
        f"{half['far_influence'][at]:.3g} of a fair share after {counted(half['layers'][at], 'layer')}, "
        f"{half['far_influence'][-1]:.3g} after {depth} (dense: {half['dense_far_influence'][-1]:.3g})"
    )


def _evenly(facts: GraphFacts) -> str:
    return f"mean of {facts['heads']} heads that each attend evenly" if facts["heads"] > 1 else "uniform attention"


def _gap(facts: GraphFacts) -> str:
    found = facts["spectrum"]
    if found is None:
        return ""
    kinds = f" (of the mean walk of {found['head_kinds']} kinds of heads)" if found["head_kinds"] > 1 else ""
    return f"{found['gap']:.4g}" + (" (of the symmetrised walk)" if found["symmetrised"] else kinds)


def _clustering(facts: GraphFacts) -> str:
    value, found = facts["clustering"], facts["clustering_interval"]
    if value is None:
        return ""
    text = f"{value:.3f}" if value in (0, 1) or 0.0005 <= value < 0.9995 else f"{value:.6f}"
    if found:
        text += f" [{found['low']:.3f}, {found['high']:.3f}], {found['wedges']} wedges sampled"
    united = ", heads united" if facts["heads"] > 1 else ""
    layers = ", mean over layers" if len(facts["edges_by_layer"]) > 1 else ""
    return f"{text}{united}{layers}: how often two neighbours are neighbours themselves"


def _structure(facts: GraphFacts) -> str:
    flags = ", ".join(facts["flags"])
    if facts.get("bounds"):
        return flags or "not known: the tiles do not say"
    if facts["structure"] is None:
        return f"{flags} ({facts['reasons']['structure']})"
    united = " (of the layers, heads united)" if facts["heads"] > 1 else ""
    return (flags or "irregular: no star, not symmetric, not Toeplitz, and some tokens do not read themselves") + united


def _bounds(facts: GraphFacts) -> str:
    found = facts.get("bounds")
    if not found:
        return ""
    edges, full = found["edges"], found["layers_to_full"]
    reach = "  ".join(f"L{at['layer']} {at['low']:.2%}-{at['high']:.2%}" for at in found["reach"][:SHOWN])
    most = "without an upper bound" if full["at_most"] is None else f"at most {full['at_most']}"
    least = "never" if full["at_least"] is None else f"at least {counted(full['at_least'], 'layer')}, {most}"
    return f"{edges['low']:,} to {edges['high']:,} edges; reach {reach}; full: {least}; below, all tiles are full ones"


def _lanes(facts: GraphFacts) -> str:
    found = facts["bandwidth"]
    if found is None:
        return ""
    return (
        f"{', '.join(map(str, found['routes']))} disjoint routes within 1, 2, ... layers, "
        f"from tokens {found['from'][0]}-{found['from'][1] - 1} to {found['to'][0]}-{found['to'][1] - 1}"
    )


def _cost(facts: Mapping[str, object]) -> str:
    paid = facts["edges_per_reached_pair"]
    return "" if paid is None else f"{paid:.4g} (dense: 1)"


def probe_lines(probe: JsonObject | None) -> list[str]:
    """What probing a module found."""
    if probe is None:
        return []
    found = ["", *probe["findings"]]
    return [f"  {line}" if line else line for line in found]


def print_comparison(found: Sequence[Analysis]) -> None:
    """Several targets side by side, with what each pays for a reached pair."""
    click.echo(click.style("side by side", bold=True))
    head = ("target", "n", "edges", "density", "to full", "max hops", "mean hops", "edges/pair")
    rows = [head, *(_row(analysis.facts) for analysis in found)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    for row in rows:
        cells = [
            cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  " + "  ".join(cells))
    click.echo("")


def _row(facts: GraphFacts) -> tuple[str, ...]:
    def text(key: str, form: str) -> str:
        return "-" if facts[key] is None else format(facts[key], form)

    return (
        facts["target"],
        format_length(facts["n"]),
        "-" if facts["edges"] is None else number(facts["edges"]),
        text("density", ".3%"),
        text("layers_to_full", "d"),
        text("max_hops", "d"),
        text("mean_hops", ".3f"),
        text("edges_per_reached_pair", ".3g"),
    )
