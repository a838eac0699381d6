"""attnprof from Python: the verbs that the package exports."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attnprof.contracts import Target
from attnprof.errors import AttnprofError, unknown
from attnprof.records import JsonDict, JsonObject
from attnprof.shapes import Shape, checked
from attnprof.store import RunFolder
from attnprof.targets import door
from attnprof.targets.binding import refuse_unbound
from attnprof.targets.usage import Usage
from attnprof.usercode import fitted
from attnprof.words import DeviceName, Layout, Pass

if TYPE_CHECKING:
    from attnprof.checks import Examination
    from attnprof.closed_forms.derive import ClosedForms
    from attnprof.counting import Counted
    from attnprof.graph import AnalyzedGraph
    from attnprof.measure import Outcome
    from attnprof.plan.limiting import Limit


def target(
    thing: object,
    *,
    impl: str | None = None,
    layout: Layout | str | None = None,
    runner: str | None = None,
    inputs: Sequence[str] = (),
    call: str | None = None,
    output: str | int | None = None,
    **parameters: object,
) -> Target:
    """Whatever can be profiled, as a target.

    `thing` is a scheme's name, the path of a pattern file or a captured mask (`.npz`, `.pt`), `file.py:object` or
    `package.module:object`; a stack of such layers ("5 sliding_window window=1024 + 1 dense ; layers=62", or a
    `stack.toml`); or an object: an `nn.Module` or its class, a function that makes one, attention on q, k, v,
    a mask_mod `(b, h, q_idx, kv_idx)`, an expression such as `Band(4)`, a SciPy CSR, a BlockMask, a boolean mask
    `[n, n]`. A target is returned as it is.

    `parameters` are those of a scheme or pattern file, or the arguments of a constructor. How a module is called is
    found by the names of its parameters, else said: `layout` of its inputs' axes, `inputs` such as `memory=b,m,D`, a
    `call` such as `m(x, memory)`, the `output` that counts. `impl` is what computes a scheme (`runner`, its old name,
    still does). Raises `AttnprofError` for anything else, with the nearest valid choice, and `Unsupported` for an
    implementation that cannot compute it.
    """
    order = None if layout is None else Layout(layout)
    usage = Usage(layout=order, inputs=tuple(inputs), call=call, output=None if output is None else str(output))
    return door.target(thing, impl=impl or runner, usage=usage, **parameters)


def count(thing: object, n: int, pass_: Pass | str = Pass.FORWARD, **sizes: object) -> Counted:
    """What a target must spend at length n, counted on fake tensors: `.cost`, and `.reasons` for what is missing.

    `pass_` is `forward`, `train` or `decode`. `sizes` are those of a `Shape`: batch, dim, heads, kv_heads, head_dim,
    v_head_dim, m (keys), causal, level, dtype, depth, seed; any other keyword is a parameter of the scheme, or of the
    constructor. FLOPs count a multiply-add as 2; memory is in bytes. No device is needed, and no tensor of that length
    is made, but where code of yours reads values; that is run once for real at a small length. Raises `AttnprofError`
    for a word or a size that cannot be.
    """
    from attnprof.counting import count as counted

    asked = Pass(pass_)
    found, shape = asked_of(thing, n, sizes)
    return counted(found, shape, asked)


def profile(
    thing: object,
    n: int,
    pass_: Pass | str = Pass.FORWARD,
    *,
    device: DeviceName | str = DeviceName.CPU,
    budget_s: float = 2.0,
    **sizes: object,
) -> Outcome:
    """What a device does spend on a target at length n: `.measured`, in seconds and bytes, after it passed the gate.

    Runs in this process, on a device that `attnprof doctor` names, or what `auto` finds. Raises `AttnprofError` where
    the target does not compute what its reference does, and for a word or a size that cannot be.
    """
    from attnprof.device import available, device_named
    from attnprof.measure import measure_target

    asked, where = Pass(pass_), available(DeviceName(device))
    if where is DeviceName.NONE:
        raise AttnprofError("nothing can be profiled on the device 'none'", hint="attnprof.count needs no device")
    found, shape = asked_of(thing, n, sizes)
    _gated(found, shape)
    return measure_target(found, shape, asked, device_named(where), budget_s=budget_s)


def check(
    thing: object,
    n: int = 256,
    *,
    against: object = None,
    claim: str | None = None,
    budget_s: float = 10.0,
    **sizes: object,
) -> Examination:
    """What a careful colleague would find in a target at length n; raises `Unsound` where that is a defect.

    Causality where it is asked for (`causal=True`) or native; the pattern that it declares, or that of `against`;
    gradients, batch, padding, other lengths, precisions, determinism, hidden squares, growth against `claim`
    (`n*log(n)`), what a call leaves alive, decoding; a scheme against its reference. `.findings` of what is returned
    or raised each say what, where, on what evidence, how serious it is, and what to try. `budget_s` bounds, in seconds,
    the search for leaking pairs. Raises `AttnprofError` for a word or a size that cannot be, `Failed` where the target
    does not run.
    """
    from attnprof.checks import CheckRequest, Unsound, examine

    found, own = target_and_sizes(thing, sizes)
    shape = shape_of(found, n, own)
    ask = CheckRequest(shape.causal, None if against is None else target(against), claim, budget_s)
    examination = examine(found, shape, ask)
    if examination.defects:
        raise Unsound(examination)
    return examination


def _gated(found: Target, shape: Shape) -> None:
    from attnprof.measure.gate import check as gate

    reasons = gate(found, shape)
    if reasons:
        raise AttnprofError(f"{found.name} does not compute what its reference does: {'; '.join(reasons.values())}")


def analyze(thing: object, n: int | None = None, **options: object) -> AnalyzedGraph:
    """Who reaches whom in a target's pattern at length n (default: the paper's): the metrics of `attnprof graph`.

    A mapping by JSON keys, with `.digraph()` for networkx.
    """
    from attnprof.graph import analyze as analysed

    if n is not None:
        checked(Shape(n=n))
    return analysed(target(thing), n, **options)


def limit(thing: object, memory: int | str, pass_: Pass | str = Pass.TRAIN, **sizes: object) -> Limit:
    """The longest n at which a target fits into a memory: `.n`, the bytes it needs there, and how that was found.

    `memory` is a number of bytes, `"80GB"`, `"80GiB"`, or an accelerator such as `"h100"`. Parameters, buffers, inputs
    and the pass's own peak count; no optimizer does. Raises `AttnprofError` where even 512 tokens do not fit.
    """
    from attnprof.plan.accelerators import memory_of
    from attnprof.plan.limiting import UNIT, longest

    asked = Pass(pass_)
    if asked is Pass.DECODE:
        raise AttnprofError("the longest n is that of a forward or train pass, not of decode", hint="pass_='forward'")
    found, shape = asked_of(thing, UNIT, sizes)
    return longest(found, shape, asked, memory if isinstance(memory, int) else memory_of(memory))


def forms(thing: object, n: int = 1024, **sizes: object) -> ClosedForms:
    """The closed forms of what a target costs, by figure: `.forms["train_flops"].text`, `.latex`, `.valid`.

    FLOPs, saved, parameter and state bytes in n and the target's parameters; `n` is where a search starts. What has no
    closed form is left out, and `.missing` or `.why` says why.
    """
    from attnprof.closed_forms.derive import closed_forms

    return closed_forms(*asked_of(thing, n, sizes))


def sweep(
    things: object = None,
    *,
    lengths: int | str | Sequence[int] = "1k-64k",
    passes: Pass | str | Sequence[Pass | str] = (Pass.FORWARD, Pass.TRAIN),
    out: str | Path | None = None,
    time: str | float | None = None,
    device: DeviceName | str = DeviceName.AUTO,
    impl: str | None = None,
    both_masks: bool = False,
    **sizes: object,
) -> RunFolder:
    """Cost and measure targets at many lengths, as `attnprof sweep` does: its run, as `read_run` gives it.

    `things` is one or a list of what a process of its own can find: names, paths, `file.py:object`, texts of stacks,
    classes and functions of a module; None: every scheme. `lengths` are tokens, or a text such as `1k-64k`. `time` is
    what the whole may take (`"10m"`, or seconds), and the same call again goes on in its folder, `out`. The device
    `none` counts only. `both_masks`: what has a causal form and one that is not is costed in both. `sizes` are those
    of a `Shape`. Progress goes to standard error.

    Points that failed are records with a status and a reason. Raises `AttnprofError` for an object that only this
    process holds, for a word or a size that cannot be, and for a folder that holds another sweep. An interrupt is
    raised once the page is written; the same call goes on from there.
    """
    from attnprof.sweeps.by_command import swept, words_of

    _known(sizes)
    asked = Pass.several(passes) if isinstance(passes, str) else Pass.distinct(passes)
    total = f"{time}s" if isinstance(time, int | float) else time
    how: dict[str, object] = {
        "pass": ",".join(asked),
        "device": DeviceName(device),
        "impl": impl,
        "time": total,
        "out": out,
    }
    return read_run(swept(words_of(things, lengths, both_masks=both_masks, **how, **sizes)))


def read_run(path: str | Path) -> RunFolder:
    """A run's folder that a command left: `.records`, each checked as it is read, and `.header`.

    Raises `AttnprofError` where there is no run, or where a record is damaged.
    """
    return RunFolder.open(Path(path))


def figure(
    run: str | Path | RunFolder,
    name: str = "choice",
    *,
    at: int | None = None,
    pass_: Pass | str | None = None,
    causal: bool | None = None,
) -> object:
    """A figure of a run, as a `plotly.graph_objects.Figure`: the one that its page shows under that name.

    `choice` (cost against the keys that a query reads), `layers` (against reach), or a quantity against n: `time`,
    `relative`, `memory`, `flops`, `state`. `at` is the n of a choice. Raises `AttnprofError` for an unknown name, and
    for what the run does not hold.
    """
    from attnprof.render.backends.interactive import plotly_figure
    from attnprof.render.joined import joined
    from attnprof.render.single import drawn_figure

    records, header = joined([run if isinstance(run, RunFolder) else read_run(run)])
    found = drawn_figure(records, header, name, at=at, pass_=pass_, causal=causal)
    import plotly.graph_objects as graph_objects

    return graph_objects.Figure(plotly_figure(found.panels, found.styles, found.labels, found.caption))


SIZES = tuple(field.name for field in dataclasses.fields(Shape) if field.name != "n")


def asked_of(thing: object, n: int, given: Mapping[str, object]) -> tuple[Target, Shape]:
    """The target and its checked shape; what is no size of a shape is a parameter of the target.

    Raises `AttnprofError` for a size that a user's code takes no notice of.
    """
    found, sizes = target_and_sizes(thing, given)
    shape = shape_of(found, n, sizes)
    named = (*sizes, *(name for name in ("impl",) if given.get(name) is not None))
    refuse_unbound([(found, shape)], named, flags=False)
    return found, shape


def target_and_sizes(thing: object, given: JsonObject) -> tuple[Target, JsonDict]:
    """The target with its parameters, and the sizes beside them."""
    others = {name: value for name, value in given.items() if name not in SIZES}
    try:
        return target(thing, **others), {name: value for name, value in given.items() if name in SIZES}
    except AttnprofError as error:
        meant = [name for name in others if name in str(error) and difflib.get_close_matches(name, SIZES, cutoff=0.75)]
        if meant:
            raise unknown("size", meant[0], SIZES) from error
        raise


def shape_of(found: Target, n: int, sizes: JsonObject) -> Shape:
    """A checked shape; the causal setting is the scheme's native one unless given, sizes are a built module's own."""
    _known(sizes)
    return checked(fitted(found, Shape(n=n, **{"causal": found.card.native_causal, **sizes}), sizes))


def _known(sizes: Mapping[str, object]) -> None:
    """Raise `AttnprofError` for a keyword that is no size of a shape."""
    for name in sizes:
        if name not in SIZES:
            raise unknown("size", name, SIZES)
