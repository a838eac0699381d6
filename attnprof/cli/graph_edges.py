"""What `attnprof graph` prints of edges: of each head and layer kind, beside slots, and instead of them."""

from __future__ import annotations

from collections.abc import Sequence

from attnprof.graph.subject import layers_named
from attnprof.records import GraphFacts, JsonObject
from attnprof.units import counted
from attnprof.words import Certainty


def sure(facts: GraphFacts, key: str) -> str:
    """How sure a fact is, where it is not exact."""
    how = facts["exact"].get(key, Certainty.EXACT)
    return "" if how == Certainty.EXACT else f" [{how}]"


def edges_text(facts: GraphFacts) -> str:
    """The edges of a head; their mean where layers or heads differ."""
    if facts["edges"] is None:
        return f"- ({facts['reasons']['edges']})"
    closed = facts["edges_closed_form"]["value"]
    agrees = "" if closed is None else ", closed form agrees"
    if closed is not None and "closed-form-differs" in facts["flags"]:
        agrees = f", closed form {number(closed)}!"
    twice = f", {number(facts['edges_sum'])} over its softmaxes" if facts["edges_sum"] != facts["edges"] else ""
    rows = facts["edges_by_layer"]
    text = _of_heads(rows[0]) if len(rows) == 1 else f"{number(facts['edges'])} in one head, mean over all layers"
    return f"{text}{sure(facts, 'edges')} ({facts['density']:.4%} of n x n{agrees}){twice}"


def number(value: float) -> str:
    """An integer in full, a mean with one decimal."""
    return f"{value:,}" if float(value).is_integer() else f"{value:,.1f}"


def _of_heads(row: JsonObject) -> str:
    """The edges of the heads of a layer kind: of each where they have as many, else the mean and the range."""
    heads = row["heads"]
    also = " beside its slots" if row["other"] == "slots" else ""
    if row["min"] == row["max"]:
        return f"{number(row['edges'])} in one head{also}" + (f", as in all {heads}" if heads > 1 else "")
    many = counted(heads, "head") + (" in each of as many draws" if row["drawn_anew"] else "")
    return f"{number(row['edges'])} in one head{also}, mean of {many} with {row['min']:,} to {row['max']:,}"


def edge_rows(facts: GraphFacts) -> list[tuple[str, str]]:
    """A row for each layer kind, where there are several."""
    rows = facts["edges_by_layer"]
    return [(f"  {layers_named(row['layers'])}", _row_of(row)) for row in rows] if len(rows) > 1 else []


def _row_of(row: JsonObject) -> str:
    if row["other"] and not row["max"]:
        return "none between tokens: they meet in slots" if row["other"] == "slots" else "none: a kernel reaches all"
    return f"{_of_heads(row)} ({row['density']:.4%})"


def degree_text(facts: GraphFacts) -> str:
    """Keys a query reads, over all heads and layers, and what nobody reads."""
    if facts["degree"] is None:
        return ""
    degree = facts["degree"]
    dead, unread = facts["dead_queries"], facts["unread_keys"]
    unused = []
    if dead:
        worst = " in the head with most" if facts["heads"] > 1 or facts["layers"] > 1 else ""
        reads = "reads" if dead == 1 else "read"
        unused.append(
            f"{counted(dead, 'query', 'queries')} {reads} nothing{worst}, e.g. {_some(facts['dead_queries_at'])}"
        )
    if unread:
        worst = " in the layer with most" if facts["layers"] > 1 else ""
        is_ = "is" if unread == 1 else "are"
        unused.append(f"{counted(unread, 'key')} {is_} never read{worst}, e.g. {_some(facts['unread_keys_at'])}")
    beside = {row["other"] for row in facts["edges_by_layer"]} - {None}
    aside = f" ({' and '.join(sorted(beside))} not counted)" if beside else ""
    text = f"{degree['min']:,} to {degree['max']:,}, mean {degree['mean']:,.1f}{aside}"
    return "; ".join([text, *unused])


def _some(positions: Sequence[int]) -> str:
    return ", ".join(map(str, positions[:3]))


def bottleneck_text(facts: GraphFacts) -> str:
    """Slots, or the rank of a kernel and how long it remembers."""
    if facts["slots"]:
        texts = {_slots_text(slots): None for slots in facts["slots"] if slots}
        return "; ".join(texts)
    if facts["kernel"]:
        kernel = facts["kernel"]
        rank = f"a complete graph of rank at most {kernel['rank_bound']:,}"
        window, low, high = (kernel[f"effective_window{end}"] for end in ("", "_min", "_max"))
        if not window:
            return rank
        between = f", {low:,.0f} to {high:,.0f} by head" if low != high else ""
        return f"{rank}; weights decay over about {window:,.0f} tokens{between}"
    return ""


def _slots_text(slots: JsonObject) -> str:
    if not slots["count"]:
        return "no slots at this length"
    return f"{number(slots['count'])} slots a head, {number(slots['reads'])} edges in, {number(slots['writes'])} out"
