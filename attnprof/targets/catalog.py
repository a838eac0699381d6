"""How anything that can be profiled is found: by its name in `patterns/`, or by the path of a user's own file.

Built-in schemes and a user's pattern file come through the same door. Nothing here imports torch.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnprof import impl as implementations
from attnprof.contracts import SchemeFacts
from attnprof.errors import AttnprofError, unknown
from attnprof.locate import PACKAGE, shipped
from attnprof.pattern.apart import on_real_numbers
from attnprof.pattern.card import Card
from attnprof.pattern.definition import Parts, check_examples, check_keywords, functions_of, params_of
from attnprof.pattern.param import Param
from attnprof.records import JsonObject
from attnprof.shapes import Shape
from attnprof.units import Value
from attnprof.userfiles import line_in, run_file
from attnprof.words import DeviceName, DType, Impl, Maths

if TYPE_CHECKING:
    from attnprof.pattern import Expr

CAPTURED = (".npz", ".pt")
OWN_CARD = Card(
    title="user's pattern",
    bib="",
    survey_class="user's own",
    causality=(False, True),
    rule="",
)


@dataclass(frozen=True, eq=False)
class Entry(Parts):
    """A pattern file: its card, its parameters, settings that the laws run, and the functions that it defines."""

    name: str
    path: Path
    card: Card
    draw: Callable[..., Expr] | None
    params: Mapping[str, Param] = field(default_factory=dict)
    examples: tuple[Mapping[str, Value], ...] = ({},)

    @property
    def has_maths(self) -> bool:
        """Whether tensors can be computed: of the edges of its pattern, or by a scheme's own file."""
        return is_written(self.home, self.card)

    @property
    def home(self) -> str:
        """The name that its maths is known by: that of its file; none of a user's own pattern, whatever its name."""
        ours = self.path.parent == shipped("patterns") or self.card.maths is Maths.OWN
        return self.path.stem if ours else ""

    @property
    def facts(self) -> SchemeFacts:
        """What an implementation may know of it."""
        return facts(self.home, self.card)

    @property
    def defaults(self) -> dict[str, Value]:
        """The defaults of its parameters; None for one that is a function of n."""
        return {name: param.default for name, param in self.params.items()}


def names() -> tuple[str, ...]:
    """The names of the catalogue: the files of `patterns/`, sorted."""
    folder = shipped("patterns")
    return _names(folder, folder.stat().st_mtime_ns)


@cache
def _names(folder: Path, changed_ns: int) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")))


def entry(name: str) -> Entry:
    """The catalogue entry of that name; an error with the closest names otherwise."""
    return load(_file(name))


def card(name: str) -> Card:
    """The card of that name, read from its text without running the file where it is all literals: no NumPy needed."""
    path = _file(name)
    return _card(path, path.stat().st_mtime_ns)


def _file(name: str) -> Path:
    """The pattern file of an entry; an error with the closest names where there is none."""
    if name not in names():
        raise unknown("scheme", name, names())
    return shipped("patterns") / f"{name}.py"


@cache
def _card(path: Path, changed_ns: int) -> Card:
    """The card in a pattern file as it is since then."""
    text = re.search(r"^CARD = (Card\(.*?^\))$", path.read_text(encoding="utf-8"), re.M | re.S)
    if text is None:
        return load(path).card
    call = ast.parse(text[1], mode="eval").body
    assert isinstance(call, ast.Call)
    try:
        return Card(**{str(k.arg): ast.literal_eval(k.value) for k in call.keywords})
    except ValueError:
        return load(path).card


def is_written(name: str, card: Card) -> bool:
    """Whether tensors can be computed: the pattern is all there is, or `schemes/` has a file of its maths."""
    return card.maths is Maths.PATTERN or maths_file(name, card).is_file()


def distinct_schemes() -> tuple[str, ...]:
    """The schemes whose maths is written, without those that at their defaults are another of them (`gqa` is dense)."""
    cards = {name: card(name) for name in names()}
    return tuple(name for name, it in cards.items() if is_written(name, it) and (it.impls or not it.maths_of))


def maths_file(name: str, card: Card) -> Path:
    """The file of `schemes/` that has, or would have, the maths of an entry."""
    return PACKAGE / "schemes" / f"{card.maths_of or name}.py"


@cache
def written(file: Path) -> tuple[str, ...]:
    """The implementations that a scheme's maths is written for, read from its text: `eager`, or those of `WRITTEN`."""
    if not file.is_file():
        return ()
    text = file.read_text(encoding="utf-8")
    for node in ast.parse(text).body if "\nWRITTEN = " in text else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "WRITTEN":
            assert isinstance(node.value, ast.Dict)
            return tuple(str(ast.literal_eval(key)) for key in node.value.keys if key)
    return ("eager",)


def facts(name: str, card: Card) -> SchemeFacts:
    """What an implementation may know of an entry before anything is built."""
    own = () if card.maths is Maths.PATTERN else written(maths_file(name, card))
    return SchemeFacts(card.maths_of or name, card, own)


def cannot(name: str, card: Card, impl: str) -> str | None:
    """Why an implementation cannot compute an entry on this machine, whatever the device; None where it can.

    Asked at a usual shape, in a precision that every kernel takes.
    """
    if not is_written(name, card):
        return card.instead or "its maths is not written: its graph alone is known"
    usual = Shape(n=1024, causal=True in card.causality, dtype=DType.BFLOAT16)
    return implementations.reason(impl, facts(name, card), usual, DeviceName.NONE)


def able(name: str, card: Card) -> Iterator[Impl]:
    """The implementations that can compute an entry here, the default first."""
    order = (*card.impls, *(impl for impl in implementations.names() if impl not in card.impls))
    return (Impl(impl) for impl in order if cannot(name, card, impl) is None)


@cache
def load(path: Path) -> Entry:
    """A pattern file, by its path; see `attnprof.pattern.definition` for what it may define.

    Raises `AttnprofError` where it draws no pattern, or defines what is nearly a part but none.
    """
    module = run_file(path)
    own = functions_of(module)
    stated: JsonObject = vars(module)
    card: Card = stated.get("CARD", OWN_CARD)
    borrowed = entry(card.pattern_of) if "pattern" not in own and card.pattern_of else None
    if borrowed is None and "pattern" not in own:
        raise AttnprofError(
            f"{path} defines no function `pattern`",
            hint="it needs `def pattern(n, *, causal=False, window=512)` that returns an expression, e.g. Band(256)",
        )
    params = borrowed.params if borrowed else _params(path, stated.get("PARAMS", {}), own["pattern"])
    for part, function in own.items():
        check_keywords(path, part, function, params)
    parts: dict[str, Any] = {part: guarded(path, function) for part, function in own.items()}
    draw = parts.pop("pattern", None)
    examples = check_examples(path, stated.get("EXAMPLES", ({},)), params)
    if borrowed:
        return replace(borrowed, name=path.stem, path=path, card=card, examples=examples, **parts)
    return Entry(path.stem, path, card, draw, params, examples, **parts)


def _params(path: Path, stated: Mapping[str, Param], draw: Callable[..., Expr]) -> dict[str, Param]:
    """The parameters of a pattern file, the functions in them guarded as its parts are."""
    return {
        name: replace(
            param,
            most=guarded(path, param.most) if callable(param.most) else param.most,
            follows=param.follows and guarded(path, param.follows),
        )
        for name, param in params_of(path, stated, draw).items()
    }


def guarded(path: Path, call: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a pattern file whose mistakes come as one clear error that names the file and the line."""

    @wraps(call)
    @on_real_numbers
    def safe(*args: object, **values: object) -> object:
        try:
            return call(*args, **values)
        except AttnprofError:
            raise
        except Exception as error:
            given = ", ".join([*map(str, args), *(f"{name}={value!r}" for name, value in values.items())])
            raise AttnprofError(
                f"{path}{line_in(error, path)} fails: {type(error).__name__}: {error}",
                hint=f"it was called as {call.__name__}({given})",
            ) from error

    return safe
