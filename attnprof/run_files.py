"""What a run's files may hold: the form of a record and of a header, as a JSON schema and as a check on reading.

Both follow from the types of `records`. A file that was damaged, or written to do harm, is one clear error and never a
number; keys that are not known are those of later versions, and are let pass.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any

from attnprof.interval import Interval
from attnprof.records import SCHEMA_VERSION, Cost, Forecast, Measured
from attnprof.words import DeviceName, DType, Level, Pass, RecordKind, Status

MOST = 10**36  # beyond any count of a run; a number with hundreds of digits is no measurement
DEEPEST = 60
JSON = "https://json-schema.org/draft/2020-12/schema"
Form = dict[str, Any]

COUNT: Form = {"type": "integer", "minimum": 0, "maximum": MOST}
SIZE: Form = {"type": "integer", "minimum": 1, "maximum": MOST}
NUMBER: Form = {"type": "number", "minimum": 0, "maximum": MOST}
RATE: Form = {"type": "number", "exclusiveMinimum": 0, "maximum": MOST}
TEXT: Form = {"type": "string"}
NAME: Form = {"type": "string", "minLength": 1}
YES_NO: Form = {"type": "boolean"}
ANYTHING: Form = {}
FREE: Form = {"type": "object"}
VALUE: Form = {"type": ["string", "number", "boolean", "array", "null"]}


def texts(kind: type[StrEnum]) -> Form:
    """One of the closed words."""
    return {"enum": [word.value for word in kind]}


def maybe(form: Form) -> Form:
    """This, or null."""
    return {"anyOf": [form, {"type": "null"}]}


def of(required: Mapping[str, Form], optional: Mapping[str, Form] | None = None) -> Form:
    """An object with these keys."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def listed(form: Form) -> Form:
    """An array of these."""
    return {"type": "array", "items": form}


def mapped(form: Form) -> Form:
    """An object whose values are these."""
    return {"type": "object", "additionalProperties": form}


def form_of(hint: object) -> Form:
    """The form of what a field of a record is annotated with."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return maybe(form_of(next(part for part in inner if part is not type(None))))
    if origin is tuple:
        return listed(form_of(inner[0]))
    if hint in (int, float, str):
        return {int: COUNT, float: NUMBER, str: TEXT}[hint]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _interval() if hint is Interval else of({}, _fields(hint))
    return mapped(maybe(form_of(inner[1].__args__[0]))) if origin is not None and len(inner) > 1 else ANYTHING


def _fields(kind: type) -> dict[str, Form]:
    hints = typing.get_type_hints(kind)
    return {field.name: form_of(hints[field.name]) for field in dataclasses.fields(kind)}


def _interval() -> Form:
    bounds: dict[str, Form] = dict.fromkeys(("median", "low", "high"), NUMBER)
    return of(bounds, {"rounds": listed(listed(NUMBER)), "samples": listed(NUMBER), "bounded": YES_NO})


def _point() -> Form:
    sizes = dict.fromkeys(("layers", "depth", "n", "m", "batch", "dim"), SIZE)
    unknown = {"heads": maybe(SIZE), "kv_heads": maybe(SIZE), "head_dim": maybe(SIZE), "causal": maybe(YES_NO)}
    words = {"level": maybe(texts(Level)), "pass": texts(Pass), "dtype": texts(DType), "device": texts(DeviceName)}
    required = {"target": NAME, **sizes, **unknown, **words, "seed": {"type": "integer"}, "params": mapped(VALUE)}
    texts_ = {name: maybe(TEXT) for name in ("source", "call", "impl", "runner")}
    return of(required, {**texts_, "own_keys": YES_NO, "v_head_dim": maybe(SIZE)})


@cache
def record_form() -> Form:
    """The form of one line of `records-*.jsonl`."""
    required = {
        "schema_version": SIZE,
        "kind": texts(RecordKind),
        "key": NAME,
        "point": _point(),
        "status": texts(Status),
    }
    optional = {
        "cost": maybe(of({}, _fields(Cost))),
        "measured": maybe(of({}, _fields(Measured))),
        "metrics": maybe(FREE),
        "forecast": maybe(of(_fields(Forecast))),
        "limit": maybe(NUMBER),
        "reasons": maybe(mapped(TEXT)),
        "flags": maybe(listed(TEXT)),
        "recorded_at": TEXT,
    }
    return of(required, optional)


@cache
def header_form() -> Form:
    """The form of `run.json`."""
    peaks = of({"matmul_flops_per_s": RATE, "copy_bytes_per_s": RATE}, {"device": TEXT, "dtype": TEXT, "method": TEXT})
    optional = {
        "created_at": TEXT,
        "version": maybe(TEXT),
        "command": maybe(TEXT),
        "seed": maybe(COUNT),
        "cards": maybe(mapped(maybe(FREE))),
        "plan": maybe(FREE),
        "environment": maybe(FREE),
        "calibration": maybe(peaks),
        "yardsticks": listed(peaks),
    }
    return of({"schema_version": SIZE}, optional)


def schema() -> Form:
    """The published JSON schema: of a record, and of a header."""
    return {
        "$schema": JSON,
        "title": f"attnprof run, schema version {SCHEMA_VERSION}",
        "$defs": {"record": record_form(), "header": header_form()},
        "$ref": "#/$defs/record",
    }


def fault(form: Form, value: object, where: str = "") -> str | None:
    """The first thing in which a value is not of a form, with its place; None where it is."""
    if "anyOf" in form:
        return None if value is None else fault(form["anyOf"][0], value, where)
    if "enum" in form:
        known = isinstance(value, str) and value in form["enum"]
        return None if known else f"{where} is {_shown(value)}, not one of {', '.join(form['enum'])}"
    kinds = form.get("type")
    if kinds is not None and not any(_is(kind, value) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return f"{where or 'it'} is {_shown(value)}, not {_named(kinds)}"
    if isinstance(value, str):
        short = len(value) < form.get("minLength", 0)
        return f"{where} is empty" if short else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _bounded(form, value, where)
    if isinstance(value, list):
        return _first(fault(form.get("items", ANYTHING), each, f"{where}[{i}]") for i, each in enumerate(value))
    return _in_object(form, value, where) if isinstance(value, dict) else None


def _in_object(form: Form, value: Mapping[str, object], where: str) -> str | None:
    lacking = [name for name in form.get("required", ()) if name not in value]
    if lacking:
        return f"{where or 'it'} lacks {', '.join(lacking)}"
    rest, known = form.get("additionalProperties", ANYTHING), form.get("properties", {})
    start = f"{where}." if where else ""
    return _first(fault(known.get(name, rest), each, f"{start}{name}") for name, each in value.items())


def _bounded(form: Form, value: float, where: str) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{where} is not finite"
    below = value < form.get("minimum", value) or value <= form.get("exclusiveMinimum", value - 1)
    return f"{where} is {_shown(value)}, which is out of range" if below or value > form.get("maximum", value) else None


def _first(faults: typing.Iterable[str | None]) -> str | None:
    return next((found for found in faults if found), None)


def _is(kind: str, value: object) -> bool:
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    known: Mapping[str, type] = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    return isinstance(value, known[kind])


def _named(kinds: str | Sequence[str]) -> str:
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def _shown(value: object) -> str:
    text = ascii(value) if not isinstance(value, int) or abs(value) < MOST else "a number of hundreds of digits"
    return text if len(text) <= 40 else f"{text[:37]}..."


def check_record(data: Mapping[str, Any]) -> str | None:
    """Why a line is no record; None where it is one."""
    found = fault(record_form(), data)
    if found:
        return found
    measured = data.get("measured") or {}
    for name in ("wall_s", "forward_s", "backward_s"):
        held = measured.get(name)
        if held and not held["low"] <= held["median"] <= held["high"]:
            return f"measured.{name} has its median outside of its bounds"
    return None


def check_header(data: Mapping[str, object]) -> str | None:
    """Why a file is no header of a run; None where it is one."""
    return fault(header_form(), data)
