"""What stands above the facts of a graph: a leak first, then what was asked, what was found, and of which draw."""

from __future__ import annotations

from collections.abc import Mapping

from attnprof.records import GraphFacts
from attnprof.units import counted, format_length


def leak_line(facts: GraphFacts) -> str:
    """The leak of a target in a line, with its name; empty where there is none."""
    leak = facts["leak"]
    return "" if leak is None else f"{leak['text']} ({facts['target']})"


def title(facts: GraphFacts) -> str:
    """The target, its length, its layers and heads, and its parameters as they are at this length."""
    params = ", ".join(f"{k}={v}" for k, v in facts["params"].items() if v is not None)
    layers = ""
    if facts["layers"] > 1 and not facts["drawn"]:
        layers = f", {facts['layers']} layers of {counted(facts['layer_kinds'], 'kind')}"
    heads = f", {facts['heads']} heads united" if facts["heads"] > 1 else ""
    name = f"{facts['target']}  n={format_length(facts['n'])}{layers}{heads}"
    return f"{name}  ({params})" if params else name


def heading_lines(facts: GraphFacts) -> list[str]:
    """Causality as asked and as found, leaks by design, the draw, and what the length does to the scheme."""
    found = [facts["causality"]]
    found += [f"leaks by its choice of keys, not by an edge: {text}" for text in facts["leaks_by_design"]]
    if facts["drawn"]:
        found.append(draw_line(facts["drawn"]))
    if facts["reasons"].get("n"):
        found.append(f"n: {facts['reasons']['n']}")
    found += [clip_line(name, each, facts["n"]) for name, each in facts["clipped"].items()]
    return [*found, *selection_lines(facts["selection"], facts["n"])]


def draw_line(drawn: Mapping[str, object]) -> str:
    """Of which draw the facts are."""
    layers = drawn["layers"]
    anew = "1 layer, drawn" if layers == 1 else f"{layers} layers, each drawn anew"
    source = "for random data" if drawn["from"] == "random data" else "at random"
    return f"{anew} {source} (seed {drawn['seed']}): all that follows is of this draw, but for the lines over seeds"


def clip_line(name: str, each: Mapping[str, object], n: int) -> str:
    """A parameter that the length has made smaller."""
    return f"{name} is {_number(each['used'])} here, not {_number(each['asked'])}: n is {n:,}"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def selection_lines(selection: Mapping[str, object] | None, n: int) -> list[str]:
    """How many queries select nothing, since what they may select is all that they may read."""
    if selection is None or not selection["queries_reading_all"]:
        return []
    if selection["whole"]:
        return [
            f"the selection is the whole sequence: at n = {n:,} every query reads all it may, as in dense attention"
        ]
    share = selection["queries_reading_all"]
    return [f"{share:.1%} of queries select nothing: at n = {n:,} they read all they may"]
