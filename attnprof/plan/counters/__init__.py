"""Other people's FLOP counters behind one face; each in its own file, imported only when it is installed and asked."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

Names = Literal["", "torch", "trace"]


@dataclass(frozen=True, slots=True)
class CounterReading:
    """A counter's figure in FLOPs, multiply-add = 2; FLOPs by operator, and operators it skipped, where it tells."""

    flops: int
    counted: Mapping[str, int] | None = None
    skipped: tuple[str, ...] = ()


CounterCall = Callable[[nn.Module, tuple[Any, ...]], int | CounterReading]


@dataclass(frozen=True, slots=True)
class OtherCounter:
    """A counter of somebody else: its distribution, its module here, whether it counts a backward too.

    The module has `forward(module, inputs)` (multiply-add = 2, whatever the counter calls them) and, where it counts
    one, `train(module, inputs)`. `names` says whose names a reading by operator uses: those that torch runs, or those
    of a trace.
    """

    name: str
    distribution: str
    home: str
    trains: bool = False
    names: Names = ""

    @property
    def version(self) -> str | None:
        """The installed version, or None where it is not installed."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def tally(self, pass_: str) -> CounterCall:
        """The function that counts one pass."""
        return getattr(importlib.import_module(f"attnprof.plan.counters.{self.home}"), pass_)

    def read(self, pass_: str, module: nn.Module, inputs: tuple[Any, ...]) -> CounterReading:
        """What it says of one pass. Raises whatever the counter raises."""
        with quiet():
            found = self.tally(pass_)(module, inputs)
        return found if isinstance(found, CounterReading) else CounterReading(found)


COUNTERS: tuple[OtherCounter, ...] = (
    OtherCounter("fvcore", "fvcore", "by_fvcore", names="trace"),
    OtherCounter("torch FlopCounterMode", "torch", "by_torch", trains=True, names="torch"),
    OtherCounter("DeepSpeed", "deepspeed", "by_deepspeed"),
    OtherCounter("calflops", "calflops", "by_calflops"),
    OtherCounter("ptflops", "ptflops", "by_ptflops"),
    OtherCounter("thop", "thop", "by_thop"),
    OtherCounter("ultralytics-thop", "ultralytics-thop", "by_thop"),
    OtherCounter("torchinfo", "torchinfo", "by_torchinfo"),
    OtherCounter("torchprofile", "torchprofile", "by_torchprofile"),
)


def _errors() -> contextlib.AbstractContextManager[Any]:
    return contextlib.redirect_stderr(io.StringIO())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what counters print, warn and log."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _errors():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
