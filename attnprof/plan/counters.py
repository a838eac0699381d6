"""Other people's FLOP counters behind one face: a function and a row each; imported only when installed and asked."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import inspect
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from attnprof.words import Pass

Names = Literal["", "torch", "trace"]
Inputs = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class CounterReading:
    """A counter's figure in FLOPs, multiply-add = 2; FLOPs by operator, and operators it skipped, where it tells."""

    flops: int
    counted: Mapping[str, int] | None = None
    skipped: tuple[str, ...] = ()


CounterCall = Callable[[nn.Module, Inputs], int | CounterReading]


@dataclass(frozen=True, slots=True)
class OtherCounter:
    """A counter of somebody else: its distribution, and what it says of a forward, and of a training pass if it can.

    Both give FLOPs with a multiply-add as 2, whatever the counter calls them. `names` says whose names a reading by
    operator uses: those that torch runs, or those of a trace.
    """

    name: str
    distribution: str
    forward: CounterCall
    train: CounterCall | None = None
    names: Names = ""

    @property
    def version(self) -> str | None:
        """The installed version, or None where it is not installed."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def read(self, pass_: Pass, module: nn.Module, inputs: Inputs) -> CounterReading:
        """What it says of one pass. Raises whatever the counter raises."""
        call = self.train if pass_ is Pass.TRAIN else self.forward
        assert call is not None, f"{self.name} counts no {pass_}"
        with quiet():
            found = call(module, inputs)
        return found if isinstance(found, CounterReading) else CounterReading(found)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what counters print, warn and log."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    silent = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def fvcore(module: nn.Module, inputs: Inputs) -> CounterReading:
    """Traces with torch.jit; its "flops" are multiply-adds, and it tells the operators that it skips."""
    from attnprof.counting.second_opinion import analysed

    analysis = analysed(module, inputs)
    total = int(2 * analysis.total())
    skipped = tuple(name.removeprefix("aten::") for name in analysis.unsupported_ops())
    counted = {name: int(2 * flops) for name, flops in analysis.by_operator().items()}
    return CounterReading(total, counted, skipped)


def torch_forward(module: nn.Module, inputs: Inputs) -> CounterReading:
    """torch's own FlopCounterMode over a forward without a graph: a dispatch mode with formulas of its own."""
    with torch.no_grad():
        return _torch(lambda: module(*inputs))


def torch_train(module: nn.Module, inputs: Inputs) -> CounterReading:
    """The same over a forward and a backward, the inputs' gradients included."""
    leaves = [x.detach().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]

    def passed() -> None:
        out = module(*leaves)
        torch.autograd.backward(out, torch.ones_like(out))

    return _torch(passed)


def _torch(passed: Callable[[], object]) -> CounterReading:
    """Its total, and its figures by operator under the names that attnprof's certificates use."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        passed()
    counted = counter.get_flop_counts().get("Global", {})
    names = {str(operator).removeprefix("aten."): flops for operator, flops in counted.items()}
    return CounterReading(counter.get_total_flops(), names)


def deepspeed(module: nn.Module, inputs: Inputs) -> int:
    """Patches torch functions; multiply-add = 2."""
    profiler = importlib.import_module("deepspeed.profiling.flops_profiler").FlopsProfiler(module)
    profiler.start_profile()
    try:
        with torch.no_grad():
            module(*inputs)
        return int(profiler.get_total_flops())
    finally:
        profiler.end_profile()


def calflops(module: nn.Module, inputs: Inputs) -> int:
    """Patches torch functions and hooks modules; its "flops" count a multiply-add as 2."""
    calculate = importlib.import_module("calflops").calculate_flops
    silent = {"print_results": False, "print_detailed": False, "output_as_string": False}
    return int(calculate(model=module, args=list(inputs), **silent)[0])


def ptflops(module: nn.Module, inputs: Inputs) -> int:
    """Hooks modules and patches functions, and takes inputs by name; multiply-adds."""
    names = list(inspect.signature(module.forward).parameters)
    named = dict(zip(names, inputs, strict=False)) if len(inputs) == len(names) else None
    made = named if named is not None else inputs[0]
    info = importlib.import_module("ptflops").get_model_complexity_info
    macs, _ = info(module, (1,), input_constructor=lambda _: made, as_strings=False, print_per_layer_stat=False)
    if macs is None:
        raise RuntimeError("it gave no figure")
    return int(2 * macs)


def thop(module: nn.Module, inputs: Inputs) -> int:
    """Hooks modules; multiply-adds. The fork by Ultralytics goes under the same name."""
    macs, _ = importlib.import_module("thop").profile(module, inputs=inputs, verbose=False)
    return int(2 * macs)


def torchinfo(module: nn.Module, inputs: Inputs) -> int:
    """Hooks modules that have parameters; multiply-adds."""
    summary = importlib.import_module("torchinfo").summary(module, input_data=list(inputs), verbose=0)
    return int(2 * summary.total_mult_adds)


def torchprofile(module: nn.Module, inputs: Inputs) -> int:
    """Traces with torch.jit; multiply-adds."""
    return int(2 * importlib.import_module("torchprofile").profile_macs(module, inputs))


COUNTERS: tuple[OtherCounter, ...] = (
    OtherCounter("fvcore", "fvcore", fvcore, names="trace"),
    OtherCounter("torch FlopCounterMode", "torch", torch_forward, torch_train, names="torch"),
    OtherCounter("DeepSpeed", "deepspeed", deepspeed),
    OtherCounter("calflops", "calflops", calflops),
    OtherCounter("ptflops", "ptflops", ptflops),
    OtherCounter("thop", "thop", thop),
    OtherCounter("ultralytics-thop", "ultralytics-thop", thop),
    OtherCounter("torchinfo", "torchinfo", torchinfo),
    OtherCounter("torchprofile", "torchprofile", torchprofile),
)
