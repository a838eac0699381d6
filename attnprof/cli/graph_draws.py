"""What `attnprof graph` prints of random patterns: chances and medians over seeds, with their intervals."""

from __future__ import annotations

from attnprof.records import GraphFacts, JsonObject
from attnprof.units import counted
from attnprof.units import format_share as share

NAMES = {
    "edges": "edges",
    "layers_to_full": "layers to full reach",
    "mean_hops": "mean hops",
    "components": "pieces",
    "disjoint_routes": "disjoint routes",
    "dead_queries": "queries reading nothing",
    "unread_keys": "keys never read",
}
ABLATION = "random only"


def random_lines(variants: JsonObject) -> list[str]:
    """The table of the variants, and of an ablation what it does and does not say."""
    if not variants:
        return []
    found = ["", "over seeds: P(all pairs within L layers), 95% interval; median share after 2 layers, 95% interval"]
    for name, each in variants.items():
        kept = ", one draw kept" if each["drawn"] and each["kept"] else ""
        found.append(f"  {name + kept:<41} {_chances(each)}; {_share(each)}; {_seeds(each)}")
    if ABLATION in variants:
        unread = variants[ABLATION]["p_unread_block"]
        found += [
            f"  A block that nobody reads is out of reach at any depth while the draw is kept: in one head's random "
            f"draw there is one with probability {unread['p']:.2f} [{unread['low']:.2f}, {unread['high']:.2f}].",
            "  Short paths by random edges alone take about log n of them a row; with few, the window carries the",
            "  argument, and globals replace it: two layers through a hub, whatever the draw.",
        ]
    return found


def _chances(each: JsonObject) -> str:
    steps = [step for step in each["p_full_by_layer"] if step["p"] > 0][:2]
    last = each["p_full_by_layer"][-1]
    if not each["drawn"]:
        return f"all pairs within L{steps[0]['layer']}" if steps else f"not within {last['layer']} layers"
    if not steps:
        return f"not within {last['layer']} layers, P at most {last['high']:.2f}"
    return ", ".join(f"L{s['layer']} {s['p']:.2f} [{s['low']:.2f}, {s['high']:.2f}]" for s in steps)


def _share(each: JsonObject) -> str:
    at = each["reach_share"][min(1, len(each["reach_share"]) - 1)]
    between = "" if at["low"] is None or not each["drawn"] else f" [{share(at['low'])}, {share(at['high'])}]"
    return f"{share(at['median'])}{between}"


def _seeds(each: JsonObject) -> str:
    return counted(each["seeds"], "seed") if each["drawn"] else "nothing is drawn"


def over_seeds_lines(facts: GraphFacts) -> list[str]:
    """Each number of a drawn pattern over the seeds: its median, the interval of that, and the range of the draws."""
    found, why = facts["over_seeds"], facts["unseeded"]
    if not found:
        return ["", f"over seeds: {why}"] if why else []
    seeds, first = found["seeds"], found["first_seed"]
    span = f"seed {first}" if seeds == 1 else f"seeds {first} to {first + seeds - 1}"
    interval = "[95% interval of the median]" if seeds >= 6 else "(no interval from fewer than 6 draws)"
    lines = [
        "",
        f"over {counted(seeds, 'seed')} ({span}), {counted(found['layers'], 'layer')} each: "
        f"median {interval}, range of the draws",
    ]
    lines += [f"  {text:<41} {_spread(found[key])}" for key, text in NAMES.items() if found.get(key)]
    if found["asked"] is None:
        each = found["seconds"] / seeds
        lines.append(
            f"  {counted(seeds, 'seed')} by default at this size; --seeds 100 takes about {100 * each:.0f} s here"
        )
    return lines


def _spread(each: JsonObject) -> str:
    never = each["missing"]
    median, least, most = (_text(each[key]) for key in ("median", "min", "max"))
    interval = "" if each["low"] is None else f" [{_text(each['low'])}, {_text(each['high'])}]"
    none = f"; {never:,} without" if never else ""
    return f"{median}{interval}, {least} to {most}{none}"


def _text(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,.0f}" if float(value).is_integer() or value >= 1000 else f"{value:.4g}"
