"""What a user writes of a call: `--input memory=b,m,D`, `--call 'm(x, x, mask=None)'`. Parsed, never evaluated."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import NoReturn

from attnprof.errors import AttnprofError
from attnprof.targets.call_names import STREAMS_OF_HEADS, meaning
from attnprof.targets.calls import (
    AXES,
    AxisSize,
    CallArgument,
    CallForm,
    CallInput,
    InputKind,
    InputRef,
    Term,
    names_in,
)

FORMS = "memory=b,m,D or ids=b,n:int, of the letters b h g n m d D and numbers"
CALLS = "m(x, x, x) or m(x, memory, mask=None): names of inputs, numbers, True, False, None, tuples"


def input_of(text: str) -> CallInput:
    """An input as it is written: `memory=b,m,D`, `ids=b,n:int`, or a name alone that means something by itself.

    It is a stream where its name is one's, or where n is among its axes and its name means nothing. Raises
    `AttnprofError` for anything else.
    """
    name, equals, rest = (part.strip() for part in text.partition("="))
    if not name.isidentifier():
        raise AttnprofError(f"--input {text!r} names no input", hint=FORMS)
    try:
        found = meaning(name)
    except KeyError:
        found = None
    known = found if isinstance(found, CallInput) else None
    if not equals:
        if known is None:
            raise AttnprofError(f"--input {text!r} does not say what {name} is", hint=FORMS)
        return known
    sizes, colon, kind = rest.partition(":")
    if colon and kind.strip() != "int":
        raise AttnprofError(f"--input {text!r}: {kind!r} is no kind of numbers", hint=f"int, or none; e.g. {FORMS}")
    axes = tuple(_axis(text, part.strip()) for part in sizes.split(","))
    whole = InputKind.POSITIONS if known and known.kind is InputKind.POSITIONS else InputKind.IDS
    stream = known.stream if known else "n" in axes
    if stream and "n" not in axes:
        raise AttnprofError(
            f"--input {text!r} has no axis n, so that it is the same at every length",
            hint=f"{name}={','.join(map(str, known.axes if known else ('b', 'n', 'D')))}: letters stand for sizes",
        )
    return CallInput(name, axes, whole if colon else InputKind.NUMBERS, stream)


def _axis(text: str, part: str) -> AxisSize:
    if part.isdecimal() and int(part):
        return int(part)
    if len(part) == 1 and part in AXES:
        return part
    raise AttnprofError(f"--input {text!r}: {part!r} is no size", hint=FORMS)


def call_of(text: str, said: Iterable[CallInput]) -> CallForm:
    """The call that a text is, with the inputs that it names. Raises `AttnprofError` for anything that is no call."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise AttnprofError(f"--call {text!r} is no expression", hint=CALLS) from error
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        _refuse(text, "is no call")
    arguments = [CallArgument("", _term(text, node)) for node in tree.args]
    arguments += [_keyword(text, keyword) for keyword in tree.keywords]
    described = {it.name: it for it in said}
    names = dict.fromkeys(name for argument in arguments for name in names_in(argument.term))
    unused = [name for name in described if name not in names]
    if unused:
        _refuse(text, f"makes no use of --input {unused[0]}")
    inputs = tuple(_input(text, name, described) for name in names)
    if not any(it.stream for it in inputs):
        _refuse(text, "is given no tokens")
    return CallForm(tuple(arguments), inputs, text.strip())


def _keyword(text: str, keyword: ast.keyword) -> CallArgument:
    if keyword.arg is None:
        _refuse(text, "has **")
    return CallArgument(keyword.arg, _term(text, keyword.value), keyword=True)


def _term(text: str, node: ast.expr) -> Term:
    """A term of the grammar: a name, a constant, a negative number, a tuple or list of terms."""
    if isinstance(node, ast.Name):
        return InputRef(node.id)
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, (bool, int, float, str))):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if isinstance(value, (int, float)):
            return -value
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_term(text, each) for each in node.elts)
    _refuse(text, f"has {ast.unparse(node)!r} in it")


def _input(text: str, name: str, described: Mapping[str, CallInput]) -> CallInput:
    if name in described:
        return described[name]
    if name in "qkv":
        return CallInput(name, STREAMS_OF_HEADS["qkv".index(name)], stream=True)
    try:
        found = meaning(name)
    except KeyError:
        found = None
    if not isinstance(found, CallInput):
        raise AttnprofError(f"--call {text!r} does not say what {name} is", hint=f"--input {name}=b,n,D")
    return found


def _refuse(text: str, why: str) -> NoReturn:
    raise AttnprofError(f"--call {text!r} {why}", hint=CALLS)
