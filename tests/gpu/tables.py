"""Short tables of what the steps found, for a note."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attnprof.units import format_bytes, format_length, format_seconds
from tests.gpu.sheet import rows_of

GOAL_EAGER, GOAL, GOAL_TIME = 0.001, 0.02, 0.01
Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], str]]


def tables(out: Path, summary: Mapping[str, Any]) -> str:
    """Markdown: the steps, step 2 by target, step 4 by scheme, step 5 by target."""
    parts = [f"# On {device_name(summary)}", steps(summary["steps"])]
    truth = rows_of(out / "2-truth")
    for title, rows, table in (
        ("Predicted bytes against the allocator (largest relative error)", of_kind(truth, "bytes"), bytes_table),
        ("Medians against other timers (forward)", of_kind(truth, "time"), time_table),
        ("Implementations", of_kind(rows_of(out / "4-implementations"), "implementation"), ways_table),
        ("Decoding, a token", of_kind(rows_of(out / "5-decode"), "decode"), decode_table),
    ):
        if rows:
            parts += [f"## {title}", table(rows)]
    return "\n\n".join(parts) + "\n"


def device_name(summary: Mapping[str, Any]) -> str:
    """The card, or the processor, or why there is neither."""
    if summary["unfit"]:
        return f"no device: {summary['unfit']}"
    environment = summary["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in environment["packages"].items() if version)
    return f"{environment['device_name']} ({versions})"


def of_kind(rows: Iterable[Row], kind: str) -> list[Row]:
    """The rows of one kind."""
    return [row for row in rows if row.get("kind") == kind]


def steps(results: Sequence[Row]) -> str:
    """A row a step."""
    return table(
        results,
        ("step", lambda r: r["step"]),
        ("result", lambda r: r["status"]),
        ("seconds", lambda r: f"{r['wall_s']:.0f} of {r['limit_s']:.0f}"),
        ("rows", lambda r: str(r["rows"])),
        ("why", lambda r: r["why"]),
        ("not built", lambda r: "; ".join(r.get("not_built", {}))),
        ("absent", lambda r: "; ".join(r.get("absent", {}))),
    )


def bytes_table(rows: Sequence[Row]) -> str:
    """The largest error of each target and precision, over lengths and passes."""
    groups = grouped(rows, "target", "dtype")
    return verdict(rows, "peak_off", goal_of) + table(
        list(groups.values()),
        ("target", lambda g: g[0]["target"]),
        ("dtype", lambda g: g[0]["dtype"]),
        ("back end", lambda g: ", ".join(sorted({str(r.get("backend") or "?") for r in g if "why" not in r}))),
        ("peak", lambda g: percent(worst(g, "peak_off"))),
        ("saved", lambda g: percent(worst(g, "saved_off"))),
        ("points", lambda g: f"{sum('why' not in r for r in g)} of {len(g)}"),
        ("why not", lambda g: cut(next((r["why"] for r in g if "why" in r), ""))),
    )


def goal_of(row: Row) -> float:
    """What a prediction's error may be: less where every operator runs as it is written."""
    return GOAL_EAGER if row.get("backend") == "eager" else GOAL


def time_table(rows: Sequence[Row]) -> str:
    """The largest difference of each target and timer, over lengths."""
    groups = grouped(rows, "timer", "target")
    return verdict(rows, "time_off", lambda row: GOAL_TIME) + table(
        list(groups.values()),
        ("timer", lambda g: g[0]["timer"]),
        ("target", lambda g: g[0]["target"]),
        ("largest difference", lambda g: percent(worst(g, "time_off"))),
        ("at n", lambda g: lengths(g)),
        ("below its floor", lambda g: lengths([r for r in g if r.get("below_floor")]) or "never"),
        ("why not", lambda g: cut(next((r["why"] for r in g if "why" in r), ""))),
    )


def ways_table(rows: Sequence[Row]) -> str:
    """A row a scheme, length, pass and way."""
    order = sorted(rows, key=lambda r: (r["scheme"], r["pass"], r["n"]))
    return table(
        order,
        ("scheme", lambda r: r["scheme"] + (" (causal)" if r["causal"] else "")),
        ("pass", lambda r: r["pass"]),
        ("n", lambda r: format_length(r["n"])),
        ("way", lambda r: r["way"]),
        ("time", lambda r: format_seconds(r["median"]) if "median" in r else "-"),
        ("peak", lambda r: format_bytes(r["peak_bytes"]) if r.get("peak_bytes") is not None else "-"),
        ("of matmul peak", lambda r: percent(r.get("matmul_share"), sign=False)),
        ("of its roofline", lambda r: percent(r.get("roofline_share"), sign=False)),
        ("off", lambda r: "-" if r.get("off") is None else f"{r['off']:.1e}"),
        ("why not", lambda r: cut(r.get("why", ""))),
    )


def decode_table(rows: Sequence[Row]) -> str:
    """A row a target and length."""
    return table(
        sorted(rows, key=lambda r: (r["target"], r["n"])),
        ("target", lambda r: r["target"]),
        ("n", lambda r: format_length(r["n"])),
        ("state", lambda r: size(r.get("state_bytes"))),
        ("held", lambda r: size(r.get("held_bytes"))),
        ("read a token", lambda r: size(r.get("decode_read_bytes"))),
        ("time a token", lambda r: format_seconds(r["median"]) if "median" in r else "-"),
        ("least", lambda r: format_seconds(r["least_s"]) if r.get("least_s") else "-"),
        ("why not", lambda r: cut(r.get("why", ""))),
    )


def verdict(rows: Sequence[Row], name: str, goal: Callable[[Row], float]) -> str:
    """How many rows are within their goal."""
    known = [row for row in rows if row.get(name) is not None]
    within = sum(abs(row[name]) <= goal(row) for row in known)
    return f"{within} of {len(known)} within their goal.\n\n"


def grouped(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of some fields, in the order they come."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found


def worst(rows: Iterable[Row], name: str) -> float | None:
    """The value that is furthest from 0."""
    known = [row[name] for row in rows if row.get(name) is not None]
    return max(known, key=abs, default=None)


def lengths(rows: Iterable[Row]) -> str:
    """The lengths of some rows."""
    return ", ".join(map(format_length, sorted({row["n"] for row in rows})))


def size(nbytes: int | None) -> str:
    """Bytes, or a dash."""
    return "-" if nbytes is None else format_bytes(nbytes)


def percent(share: float | None, *, sign: bool = True) -> str:
    """A share as per cent, or a dash."""
    if share is None:
        return "-"
    return f"{share:+.2%}" if sign else f"{share:.1%}"


def cut(text: str, most: int = 90) -> str:
    """The start of a text, fit for a cell."""
    plain = text.replace("|", "/")
    return plain if len(plain) <= most else plain[: most - 3] + "..."


def table(rows: Sequence[Any], *columns: tuple[str, Callable[[Any], str]]) -> str:
    """A table in Markdown."""
    lines = [[title for title, _ in columns], ["---"] * len(columns)]
    lines += [[cell(row) for _, cell in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
