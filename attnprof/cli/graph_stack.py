"""What `attnprof graph` prints of a stack: its layers one after the other, distances, borders, horizon; and of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from attnprof.records import JsonObject
from attnprof.units import counted, format_share

SHOWN = 8
FAINT = 0.01


def stack_lines(stack: JsonObject | None, n: int) -> list[tuple[str, str]]:
    """Label and text of each fact of a stack."""
    if stack is None:
        return []
    found = [("repeats", period_text(stack["period"])), *layer_rows(stack["layers"])]
    found += [("distances", distance_text(entry, n)) for entry in met_first(stack["offsets"], n)]
    found += [("borders", border_text(entry)) for entry in stack["offsets"] if entry["borders"]]
    if not stack["offsets_exact"]:
        found.append(("", "(distances: over a sample of tokens)"))
    found += [("horizon", text) for text in horizon_texts(stack)]
    return found


def met_first(entries: Sequence[Mapping[str, object]], n: int) -> list[Mapping[str, object]]:
    """The entries up to the first at which every pair of tokens has met."""
    full = next((at for at, entry in enumerate(entries) if entry["every_to"] == n - 1), len(entries))
    return list(entries[: full + 1])


def period_text(period: Mapping[str, int]) -> str:
    """How the stack repeats, and whether it ends within its period."""
    times = f"{counted(period['whole'], 'period')} of {counted(period['size'], 'layer')}"
    return f"{times}, and the first {period['cut']} of one more" if period["cut"] else times


def layer_rows(layers: Sequence[JsonObject]) -> list[tuple[str, str]]:
    """A row for each run of equal layers, up to the one after which all is reached; what follows in one."""
    rows = []
    runs = [list(run) for _, run in groupby(layers, key=lambda layer: layer["label"])]
    for at, run in enumerate(runs):
        first, last = run[0]["layer"], run[-1]["layer"]
        which = f"layer {first}" if first == last else f"layers {first}-{last}"
        rows.append((f"  {which}", f"{run[-1]['label']}: {reach_text(run)}"))
        if run[-1].get("share") == 1.0 or at == SHOWN:
            left = len(layers) - last
            if left:
                rows.append(("", f"and {counted(left, 'layer')} more"))
            break
    return rows


def reach_text(run: Sequence[JsonObject]) -> str:
    """What an output depends on after a run of layers."""
    end = run[-1]
    through = f", through a state of {end['state_numbers']:,} numbers" if end["state_numbers"] else ""
    if end.get("share") is None:
        return f"not looked at{through}"
    if end["share"] == 1.0:
        full = next(layer["layer"] for layer in run if layer["share"] == 1.0)
        return f"all after layer {full}{through}"
    most = "" if end["max"] is None else f"at most {counted(end['max'], 'token')}, "
    return f"{most}{format_share(end['share'])} of allowed pairs after layer {end['layer']}{through}"


def distance_text(entry: JsonObject, n: int) -> str:
    """Which distances are reached after some layers."""
    after = f"after {counted(entry['layer'], 'layer')}: "
    every, some = entry["every_to"], entry["some_to"]
    if every == some == n - 1:
        return f"{after}all"
    if every == some:
        return f"{after}every distance up to {every:,}, none beyond"
    holes = f", {entry['unreached']:,} of them not at all" if entry["unreached"] else ""
    return f"{after}every pair up to a distance of {every:,}, some up to {some:,}{holes}"


def border_text(entry: JsonObject) -> str:
    """Neighbours that have not met."""
    named = ", ".join(f"({i:,}, {j:,})" for i, j in entry["named"])
    pairs = counted(entry["borders"], "pair")
    return f"after {counted(entry['layer'], 'layer')}: {pairs} of neighbours do not meet, first {named}"


def horizon_texts(stack: JsonObject) -> list[str]:
    """How far back the influence on an output comes from, after some layers: the distance that 1% comes from beyond."""
    if stack["horizon"] is None:
        return [f"- ({stack['reasons']['horizon']})"]
    faint = [entry for entry in stack["horizon"] if entry["share"] == FAINT]
    texts = []
    for layers, entries in groupby(faint, key=lambda entry: entry["layers"]):
        each = list(entries)
        how = ", ".join(f"{entry['distance']:,} ({_residual(entry['residual'])})" for entry in each)
        texts.append(f"after {counted(layers, 'layer')}: {FAINT:.0%} of output {each[0]['output']:,} from beyond {how}")
    return texts


def _residual(share: float) -> str:
    return f"residual {share}" if share else "no residual"


def against_lines(found: JsonObject | None, target: str) -> list[str]:
    """What only one of two patterns reaches, layer by layer, as long as that changes."""
    if found is None:
        return []
    lines = [f"pairs that only one reaches, {target} and {found['target']}:"]
    before: tuple[int, int] | None = None
    for entry in found["layers"]:
        now = entry["only_first"], entry["only_second"]
        if now != before:
            pairs = [*entry["first_named"], *entry["second_named"]][:1]
            named = "".join(f", first ({i:,}, {j:,})" for i, j in pairs)
            lines.append(f"  after layer {entry['layer']}: {now[0]:,} only here, {now[1]:,} only there{named}")
        before = now
    if not found["exact"]:
        lines.append("  (over a sample of tokens)")
    return lines
