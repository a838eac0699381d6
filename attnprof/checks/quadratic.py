"""Hidden squares: storages of n by n where nothing else grows so, by two real runs at a length and its double."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from attnprof.checks.examined import Examined, Skipped
from attnprof.checks.finding import Finding
from attnprof.checks.whereabouts import line_of_caller
from attnprof.closed_forms.growth import GROWTHS, parse_order
from attnprof.counting import count
from attnprof.counting.believed import as_believed, built_to_trust
from attnprof.counting.storages import flat
from attnprof.errors import AttnprofError
from attnprof.torch_private import Arguments, DispatchMode, Keywords, Operator
from attnprof.words import Pass, Severity

SHORT = (64, 128)
LONG = (2048, 4096)
SQUARE = 3.5  # a storage that grows as n² is four times as large at twice the length
NAMED = 5

Site = tuple[str, str]


class Storages(DispatchMode):
    """The most numbers in one storage that each operator at each line made while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.most: dict[Site, int] = {}

    def __torch_dispatch__(
        self, func: Operator, types: Sequence[type], args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        out = func(*args, **(kwargs or {}))
        for t in flat((out,)):
            site = str(func), line_of_caller()
            self.most[site] = max(self.most.get(site, 0), t.untyped_storage().nbytes() // t.element_size())
        return out


def look(examined: Examined) -> Iterator[Finding]:
    """A defect where less is claimed; a warning where the FLOPs themselves grow more slowly."""
    long = SHORT[1]
    most = {n: _storages(examined, n) for n in SHORT}
    sites = [site for site in grown(most, SHORT) if most[long][site] >= long**2]
    squares = [(site, most[long][site]) for site in sites]
    if not squares:
        return
    claimed = examined.ask.claim is not None and GROWTHS[parse_order(examined.ask.claim)] < GROWTHS["n**2"]
    if not claimed and not _flops_grow_more_slowly(examined):
        return
    later = _on_fakes(examined)
    squares = [square for square in squares if later is None or square[0] in grown(later, LONG)]
    if not squares:
        return  # a window wider than these short lengths, say
    squares.sort(key=lambda square: -square[1])
    (operator, line), numbers = squares[0]
    what = f"claimed {examined.ask.claim}" if claimed else "while its FLOPs grow more slowly"
    yield Finding(
        "hidden_square",
        Severity.DEFECT if claimed else Severity.WARNING,
        f"{operator} makes {numbers:,} numbers at n = {long}, {numbers / long**2:.3g} n², {what}",
        line,
        {
            "n": list(SHORT),
            "storages": [{"operator": op, "line": at, "numbers": size} for (op, at), size in squares[:NAMED]],
        },
        "make masks and tables of positions in blocks, or by broadcasting inside the kernel",
    )


def _storages(examined: Examined, n: int) -> dict[Site, int]:
    try:
        asked = examined.longer(n)
        asked.run()
    except Exception as error:  # another length than the one asked for is nobody's fault
        raise Skipped(f"it does not run at n = {n}: {str(error).splitlines()[0] if str(error) else ''}") from error
    seen = Storages()
    with seen:
        asked.run()
    return seen.most


def grown(most: Mapping[int, Mapping[Site, int]], lengths: tuple[int, int]) -> list[Site]:
    """Where storages grow as the square from a length to its double."""
    short, long = (most[n] for n in lengths)
    return [site for site in long if site in short and long[site] >= SQUARE * short[site]]


def _on_fakes(examined: Examined) -> dict[int, dict[Site, int]] | None:
    """The same at lengths that take no memory, where fake tensors may stand for real ones."""
    found = {}
    for n in LONG:
        shape = examined.shape.replace(n=n, batch=1)
        try:
            with as_believed(examined.target):
                built = built_to_trust(examined.target, shape)
                seen = Storages()
                with built.within, torch.no_grad(), seen:
                    built.module.eval()(*built.inputs)
        except Exception:  # it reads values, or takes no such length: what real tensors showed has to do
            return None
        found[n] = seen.most
    return found


def _flops_grow_more_slowly(examined: Examined) -> bool:
    """Whether no part of its exact FLOPs grows as n²: a polynomial through three lengths has no such term."""
    try:
        shapes = [examined.shape.replace(n=k * SHORT[0], batch=1) for k in (4, 8, 16)]
        one, two, four = (count(examined.target, shape, Pass.FORWARD).cost.flops_executed for shape in shapes)
    except AttnprofError:
        return False
    if one is None or two is None or four is None:
        return False
    return four - 3 * two + 2 * one <= 0
