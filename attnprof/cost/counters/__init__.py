"""Other people's FLOP counters behind one face; each in its own file, imported only when it is installed and asked."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

Tally = Callable[[nn.Module, tuple[Any, ...]], int]


@dataclass(frozen=True, slots=True)
class OtherCounter:
    """A counter of somebody else: its distribution, its module here, whether it counts a backward too.

    The module has `forward(module, inputs) -> FLOPs` (multiply-add = 2, whatever the counter calls them) and, where it
    counts one, `train(module, inputs) -> FLOPs`.
    """

    name: str
    distribution: str
    home: str
    trains: bool = False

    @property
    def version(self) -> str | None:
        """The installed version, or None where it is not installed."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def tally(self, pass_: str) -> Tally:
        """The function that counts one pass."""
        return getattr(importlib.import_module(f"attnprof.cost.counters.{self.home}"), pass_)


COUNTERS: tuple[OtherCounter, ...] = (
    OtherCounter("fvcore", "fvcore", "by_fvcore"),
    OtherCounter("torch FlopCounterMode", "torch", "by_torch", trains=True),
    OtherCounter("DeepSpeed", "deepspeed", "by_deepspeed"),
    OtherCounter("calflops", "calflops", "by_calflops"),
    OtherCounter("ptflops", "ptflops", "by_ptflops"),
    OtherCounter("thop", "thop", "by_thop"),
    OtherCounter("ultralytics-thop", "ultralytics-thop", "by_thop"),
    OtherCounter("torchinfo", "torchinfo", "by_torchinfo"),
    OtherCounter("torchprofile", "torchprofile", "by_torchprofile"),
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what counters print, warn and log."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
