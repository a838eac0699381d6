"""`attnprof cost`: what a target must spend, as closed forms and as certified numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnprof.cli.asked import asked_shape, asked_target, refuse_untaken
from attnprof.cli.main import report
from attnprof.cli.of_model import cache_options, of_models
from attnprof.cli.options import ARGUMENTS, AS_JSON, IMPL, PASSES, SETTINGS, emit, explicit, sizes
from attnprof.cli.progress import counting_bar
from attnprof.errors import AttnprofError, unknown
from attnprof.records import JsonDict
from attnprof.units import parse_lengths
from attnprof.usercode import call_of_code, labels_of
from attnprof.words import DeviceName

if TYPE_CHECKING:
    from attnprof.plan.answer import CostQuestion
    from attnprof.plan.count_service import CountService
    from attnprof.plan.roofline import DevicePeaks

UNUSABLE = 1

EXAMPLES = """\b
Examples:
  attnprof cost longformer --lengths 1k-1m             closed forms, and a table from 1k to 1m
  attnprof cost sparse_strided --set stride=64 --json  one object for a script
  attnprof cost dense --memory --roofline h100         what the peak is made of; the least time on an H100
  attnprof cost my_model.py:Layer --arg width=256      your own module
  attnprof cost "5 sliding_window window=1024 + 1 flash ; layers=62" --causal    a stack, group by group
  attnprof cost hf:gpt_oss_20b --lengths 8k,128k       a whole model: by kind of layer, caches as engines allocate
  attnprof cost hf:qwen3_next:num_hidden_layers=24 --check   held against its module in transformers
  attnprof cost                                        every scheme's table
"""


@click.command(epilog=EXAMPLES)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--lengths", default="1k-64k", show_default=True, help="1k, 1k-64k (doubling), 1k,3k,10k; 1k = 1024.")
@PASSES
@IMPL
@click.option("--forms/--no-forms", default=None, help="Closed forms. Default: with one target, no stack.")
@click.option("--latex", is_flag=True, help="Print the closed forms as LaTeX.")
@click.option("--symbols", metavar="b,h,d", default="", help="Batch, heads, head width as symbols of the forms too.")
@click.option("--modules", is_flag=True, help="FLOPs by submodule.")
@click.option("--memory", is_flag=True, help="What memory holds at the peak, part by part.")
@click.option("--roofline", metavar="DEVICE", help="Least time on a device: h100, a100, ..., or here (measured now).")
@click.option("--certificate", is_flag=True, help="Every operator behind the numbers.")
@click.option("--cache/--no-cache", default=True, show_default=True, help="Reuse counts of the very same code.")
@click.option("--check", "check_module", is_flag=True, help="hf: hold formulas against the module in transformers.")
@click.option(
    "--drafts",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Tokens of a decoding step, of a model (hf:...) or of code that takes a cache.",
)
@click.option("--sequences", type=click.IntRange(1), default=1, show_default=True, help="hf: caches of so many.")
@cache_options
@sizes
@SETTINGS
@ARGUMENTS
@AS_JSON
def command(**options: Any) -> int:
    """What TARGET must spend at many lengths, known without a device: FLOPs, operations and bytes.

    Every number carries its certificate: the operators counted and not counted, the kernels and tiles assumed. FLOPs
    count a multiply-add as 2. With no TARGET, or several, tables only.
    """
    from attnprof.cli.cost_text import show
    from attnprof.targets.door import is_stack

    if of_models(options["targets"]):
        from attnprof.cli import of_model

        return of_model.cost(options)
    names = options["targets"] or executed_schemes()
    refuse_untaken(names, {**options, "explicit": explicit()})
    alone = len(options["targets"]) == 1
    with_forms = alone and not is_stack(names[0]) if options["forms"] is None else options["forms"]
    answers = answered(names, {**options, "forms": with_forms or options["latex"]}, skip=not options["targets"])
    if options["as_json"]:
        emit(answers[0] if alone else {"targets": answers})
    else:
        for answer in answers:
            show(answer, options)
    return UNUSABLE if options["targets"] and len(answers) < len(names) else 0


def executed_schemes() -> list[str]:
    """Every scheme of the catalogue whose maths is written, and not another's computed as usual."""
    from attnprof.targets.catalog import distinct_schemes

    return list(distinct_schemes())


def answered(names: Sequence[str], options: JsonDict, *, skip: bool) -> list[JsonDict]:
    """The answer for each target that has one; why another has none is told, but not where it is one to `skip`."""
    from attnprof.plan.answer import answers
    from attnprof.plan.count_cache import CountCache, code_hash
    from attnprof.plan.count_service import CountService

    cache = CountCache(code_hash(pattern_files())) if options["cache"] else None
    refused: list[AttnprofError] = []
    with contextlib.closing(CountService(cache)) as service:
        asked = []
        for name in names:
            try:
                asked.append(question(name, options, service))
            except AttnprofError as error:
                refused.append(error)
        with counting_bar() as watch:
            found = answers(asked, service, watch, refused.append)
    for refusal in refused:
        if len(names) == 1:
            raise refusal
        if not skip:
            report(refusal.message, refusal.hint)
    return found


def pattern_files() -> list[Path]:
    """The files of the catalogue, which the counts of its schemes depend on."""
    from attnprof.locate import shipped

    return sorted(shipped("patterns").glob("*.py"))


def question(name: str, options: JsonDict, service: CountService) -> CostQuestion:
    """What is asked of one target."""
    from attnprof.plan.answer import CostQuestion
    from attnprof.targets.catalog import names

    target = asked_target(name, options)
    lengths = parse_lengths(options["lengths"])
    shape = asked_shape(target, lengths[0], options)
    return CostQuestion(
        target,
        shape,
        lengths,
        options["passes"],
        asked_symbols(options["symbols"]),
        None if name in names() else name,
        **{part: options[part] for part in ("forms", "modules", "memory")},
        peaks=peaks(options["roofline"], shape.dtype) if options["roofline"] else None,
        call=call_of_code(target, shape),
        unknown=labels_of(target, shape)[1],
        service=service,
    )


def asked_symbols(text: str) -> tuple[str, ...]:
    """Sizes that are to be symbols. Raises `AttnprofError` for one that cannot be."""
    named = tuple(part.strip() for part in text.split(",") if part.strip())
    if not named:
        return ()
    from attnprof.closed_forms.sampler import SIZES  # torch comes with it

    for part in named:
        if part not in SIZES:
            raise unknown("symbol", part, SIZES)
    return named


def peaks(device: str, dtype: str) -> DevicePeaks:
    """The peaks of a device: those published, or (`here`) those measured now."""
    from attnprof.plan.roofline import DevicePeaks

    if device != "here":
        from attnprof.plan.accelerators import accelerator

        known = accelerator(device)
        return DevicePeaks(f"{known.name} ({known.source})", known.peak(dtype), known.bytes_per_s)
    from attnprof.device import device_named
    from attnprof.measure.calibrate import calibrate

    measured = calibrate(device_named(DeviceName.AUTO), dtype)
    return DevicePeaks(f"{measured.device} (measured)", measured.matmul_flops_per_s, measured.copy_bytes_per_s)
