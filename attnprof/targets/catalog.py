"""How anything that can be profiled is found: by its name in `patterns/`, or by the path of a user's own file.

Built-in schemes and a user's pattern file come through the same door. Nothing here imports torch.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from attnprof.errors import AttnprofError, unknown
from attnprof.locate import PACKAGE, shipped
from attnprof.pattern.apart import on_real_numbers
from attnprof.pattern.card import Card
from attnprof.records import Value
from attnprof.userfiles import line_in, run_file
from attnprof.words import Maths, Runner

if TYPE_CHECKING:
    from attnprof.pattern import Expr

CONTEXT = ("n", "causal", "layer", "head", "seed", "heads", "head_dim")
CAPTURED = (".npz", ".pt")
# What a pattern file may define beside `pattern` and `CARD`, and where an entry holds it.
PARTS = {
    "edges": "edges",
    "resolve": "rules",
    "layers": "layers",
    "pairs": "pairs",
    "score_products": "products",
    "flops_paper": "paper",
    "flops_paper_step": "paper_step",
    "state_numbers": "state",
}
OWN_CARD = Card(
    title="user's pattern",
    bib="",
    survey_class="user's own",
    complexity="",
    causality=(False, True),
    rule="",
)


@dataclass(frozen=True, eq=False)
class Entry:
    """A pattern file: its card, and the functions that it defines."""

    name: str
    path: Path
    card: Card
    draw: Callable[..., Expr] | None
    edges: Callable[..., int] | None = None
    rules: Callable[..., Mapping[str, Value]] | None = None
    paper: Callable[..., int] | None = None
    paper_step: Callable[..., int] | None = None
    pairs: Callable[..., int] | None = None
    products: Callable[..., int] | None = None
    state: Callable[..., int] | None = None
    layers: Callable[..., int] | None = None
    defaults: Mapping[str, Value] = field(default_factory=dict)

    @property
    def has_maths(self) -> bool:
        """Whether tensors can be computed: by a runner, or by a scheme module of the same name."""
        return is_written(self.name, self.card)

    def takes_list(self, name: str) -> bool:
        """Whether a parameter may be a list of integers: its annotation is `int | str`."""
        given = inspect.signature(self.draw).parameters.get(name) if self.draw else None
        return given is not None and {int, str} <= set(get_args(given.annotation))


def names() -> tuple[str, ...]:
    """The names of the catalogue: the files of `patterns/`, sorted."""
    return tuple(sorted(path.stem for path in shipped("patterns").glob("*.py") if not path.stem.startswith("_")))


def entry(name: str) -> Entry:
    """The catalogue entry of that name; an error with the closest names otherwise."""
    if name not in names():
        raise unknown("scheme", name, names())
    return load(shipped("patterns") / f"{name}.py")


def card(name: str) -> Card:
    """The card of that name, read from its text without running the file where it is all literals: no NumPy needed."""
    path = shipped("patterns") / f"{name}.py"
    if not path.is_file():
        raise unknown("scheme", name, names())
    text = re.search(r"^CARD = (Card\(.*?^\))$", path.read_text(encoding="utf-8"), re.M | re.S)
    if text is None:
        return entry(name).card
    call = ast.parse(text[1], mode="eval").body
    assert isinstance(call, ast.Call)
    try:
        return Card(**{str(k.arg): ast.literal_eval(k.value) for k in call.keywords})
    except ValueError:
        return entry(name).card


def is_written(name: str, card: Card) -> bool:
    """Whether tensors can be computed: the pattern is all there is, or `schemes/` has a file of that name."""
    return card.maths is Maths.PATTERN or (PACKAGE / "schemes" / f"{name}.py").is_file()


def runners_of(card: Card) -> tuple[Runner, ...]:
    """The runners that can execute a scheme, the default first; none for one with maths of its own alone."""
    return tuple(Runner(name) for name in card.runners) or (tuple(Runner) if card.maths is Maths.PATTERN else ())


@cache
def load(path: Path) -> Entry:
    """A pattern file, by its path: `pattern`, and beside it what else it states, each optional.

    `CARD`; `resolve`: parameters at n; `layers`: layer kinds; `edges`: their number; `pairs`: query-key pairs of all
    softmaxes, where queries read slots too; `score_products`: products as wide as a key that scores take beside one a
    pair; `flops_paper` and `flops_paper_step`: the paper's count of a pass, and of one token more; `state_numbers`:
    numbers that decoding keeps of a sequence.
    """
    module = run_file(path)
    card = getattr(module, "CARD", OWN_CARD)
    draw = getattr(module, "pattern", None)
    borrowed = None
    if draw is None and card.pattern_of:
        borrowed = entry(card.pattern_of)
        draw = borrowed.draw
    if draw is None:
        raise AttnprofError(
            f"{path} defines no function `pattern`",
            hint="it needs `def pattern(n, *, causal=False, window=512)` that returns an expression, e.g. Band(256)",
        )
    own = {name: guarded(path, getattr(module, name, None)) for name in PARTS}
    return Entry(
        name=path.stem,
        path=path,
        card=card,
        draw=draw if borrowed else guarded(path, draw),
        **{field: own[name] or (getattr(borrowed, field) if borrowed else None) for name, field in PARTS.items()},
        defaults=parameters_of(draw),
    )


def guarded(path: Path, call: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """A function of a pattern file whose mistakes come as one clear error that names the file and the line."""
    if call is None:
        return None

    @wraps(call)
    @on_real_numbers
    def safe(*args: Any, **values: Any) -> Any:
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


def parameters_of(draw: Callable[..., Any]) -> dict[str, Value]:
    """The parameters of a pattern function, with their defaults: its keywords that are not context."""
    found = inspect.signature(draw).parameters.values()
    return {p.name: p.default for p in found if p.name not in CONTEXT and p.kind is p.KEYWORD_ONLY}


def accepted(function: Callable[..., Any], **offered: Any) -> dict[str, Any]:
    """Of the keywords offered, those that the function takes."""
    known = inspect.signature(function).parameters
    return {k: v for k, v in offered.items() if k in known}
