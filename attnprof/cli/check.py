"""`attnprof check`: what a careful colleague would find in a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from attnprof.cli.asked import SIZES, asked_target, refuse_untaken
from attnprof.cli.main import report
from attnprof.cli.options import ARGUMENTS, AS_JSON, IMPL, SETTINGS, emit, explicit, shape_of, sizes
from attnprof.errors import AttnprofError
from attnprof.records import JsonDict
from attnprof.units import parse_length

if TYPE_CHECKING:
    from attnprof.checks import Examination, Finding

EXAMPLES = """\b
Examples:
  attnprof check model.py:MyAttention --causal           leaks of the future first, then all the rest
  attnprof check model.py:Local --against sliding_window --set sliding_window.window=64
  attnprof check model.py:Linear --claim 'n*log(n)'      growth of FLOPs and saved bytes, hidden squares
  attnprof check transformers:LlamaModel --config llama.json --causal --json
  attnprof check longformer                              a scheme against its reference and its pattern
"""
UNUSABLE, DEFECT = 1, 4
SAID = ("first_pairs",)  # evidence that the sentence holds already
COLOURS = {"defect": "red", "warning": "yellow", "note": "cyan"}


@click.command(epilog=EXAMPLES)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("-n", "--n", "length", default="256", show_default=True, help="Tokens of the inputs that it is run on.")
@click.option("--against", metavar="PATTERN", help="The pattern that it is said to have.")
@click.option("--claim", metavar="ORDER", help="How its cost is said to grow: n, n*log(n), n*sqrt(n), n**2.")
@click.option(
    "--time",
    "budget_s",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds to look for leaking pairs.",
)
@IMPL
@sizes
@SETTINGS
@ARGUMENTS
@AS_JSON
def command(**options: Any) -> int:
    """Look at TARGETs as a careful colleague would, on real tensors. Exits with 4 where a defect is found.

    Causality first (--causal claims it), then the declared pattern, gradients, batch, padding, other lengths,
    precisions, determinism, hidden squares, growth, what a call leaves alive, decoding. A defect fails the check, a
    warning is to be looked at. A target that cannot be looked at leaves the others.
    """
    names = options["targets"]
    refuse_untaken(names, {**options, "explicit": [name for name in explicit() if name != "causal"]})
    answers, code = [], 0
    for name in names:
        try:
            found = examined(name, options)
        except AttnprofError as error:
            if len(names) == 1:
                raise
            report(error.message, error.hint)
            answers.append({"target": name, "error": error.message, "hint": error.hint})
            code = max(code, UNUSABLE)
            continue
        code = max(code, DEFECT if found.defects else 0)
        answers.append(found.to_json())
        if not options["as_json"]:
            show(found)
    if options["as_json"]:
        emit(answers[0] if len(names) == 1 else {"targets": answers})
    return code


def examined(name: str, options: JsonDict) -> Examination:
    """What is found in one target; the verdict on causality is printed as soon as it is known."""
    from attnprof.checks import CheckRequest, examine
    from attnprof.usercode import UserCode, fitted

    target = asked_target(name, options)
    causal = target.card.native_causal if options["causal"] is None else options["causal"]
    shape = shape_of(parse_length(options["length"]), causal=causal, **{size: options[size] for size in SIZES})
    shape = fitted(target, shape, explicit())
    if isinstance(target, UserCode) and "length" not in explicit():
        shape = shape.replace(n=target.length_near(shape) or shape.n)
    against = None
    if options["against"] is not None:
        against = asked_target(options["against"], {**options, "impl": None, "targets": (options["against"],)})
    ask = CheckRequest(causal, against, options["claim"], options["budget_s"])

    def told(verdict: str) -> None:
        called = f", called as {target.called(shape)}" if isinstance(target, UserCode) else ""
        click.echo(f"{target.name} at n = {shape.n}{called}")
        click.echo(f"  {verdict}")

    return examine(target, shape, ask, (lambda verdict: None) if options["as_json"] else told)


def show(found: Examination) -> None:
    """The findings, the most serious first, and what was looked at."""
    click.echo(f"  at last {found.verdict}" if "all " in found.verdict else "", nl="all " in found.verdict)
    for finding in found.findings:
        show_finding(finding)
    click.echo(f"  nothing found: {', '.join(found.passed) or 'nowhere'}")
    for name, why in found.skipped.items():
        click.echo(click.style(f"  not looked at: {name}: {why}", dim=True))
    defects, others = len(found.defects), len(found.findings) - len(found.defects)
    word = click.style("no defect", fg="green")
    if defects:
        word = click.style(f"{defects} defect{'s' if defects > 1 else ''}", fg="red", bold=True)
    click.echo(f"{found.target}: {word}{f', {others} more to look at' if others else ''}")


def show_finding(finding: Finding) -> None:
    """One finding: what and where, the evidence, what to try."""
    severity = finding.severity.value
    click.echo(f"  {click.style(severity, fg=COLOURS[severity], bold=True)} {finding.kind}: {finding.what}")
    if finding.where:
        click.echo(f"    where: {finding.where}")
    evidence = [f"{name} = {_told(value)}" for name, value in finding.evidence.items() if name not in SAID]
    if evidence:
        click.echo(f"    evidence: {', '.join(evidence)}")
    if finding.advice:
        click.echo(f"    try: {finding.advice}")


def _told(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_told(part)}" for name, part in value.items())
    return "; ".join(map(_told, value)) if isinstance(value, (list, tuple)) else str(value)
