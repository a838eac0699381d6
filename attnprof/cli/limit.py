"""`attnprof limit`: the longest sequence that fits into a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from attnprof.cli.asked import asked_shape, asked_target, refuse_untaken
from attnprof.cli.of_model import cache_options, of_models
from attnprof.cli.options import ARGUMENTS, AS_JSON, IMPL, SETTINGS, WordParam, emit, explicit, sizes
from attnprof.errors import AttnprofError
from attnprof.records import JsonDict
from attnprof.units import format_bytes, format_length
from attnprof.words import DeviceName, Pass

if TYPE_CHECKING:
    from attnprof.contracts import Target
    from attnprof.shapes import Shape

EXAMPLES = """\b
Examples:
  attnprof limit dense --memory 80GB                         forward and backward of one layer
  attnprof limit longformer --memory 24GiB --pass forward
  attnprof limit flash --memory h100 --level block --depth 12 --checkpoint
  attnprof limit linear --memory 2GiB --verify               and try it here
  attnprof limit hf:gpt_oss_20b --memory h100 --weights-dtype mxfp4 --kv-dtype fp8
"""
LAYER_STEP = 512


@click.command(epilog=EXAMPLES)
@click.argument("target")
@click.option("--memory", required=True, metavar="SIZE", help="80GB, 80GiB, 512MiB, or an accelerator: h100, a100, ...")
@click.option(
    "--pass",
    "pass_",
    type=WordParam(Pass, without=(Pass.DECODE,)),
    default="train",
    show_default=True,
    help="Which pass.",
)
@click.option("--checkpoint", is_flag=True, help="Run every block again in backward, with --level block.")
@click.option("--verify", is_flag=True, help="Try the answer, and one step more, on this machine.")
@click.option("--lengths", default="8k,128k", show_default=True, help="hf: lengths of sequences that are kept at once.")
@click.option("--weights-dtype", help="hf: precision of the weights: bf16, fp8, mxfp4, ... Default: --dtype.")
@click.option("--card", metavar="DEVICE", help="hf: least time of a decoding step on h100, a100, ...")
@cache_options
@IMPL
@sizes
@SETTINGS
@ARGUMENTS
@AS_JSON
def command(**options: Any) -> int:
    """The longest n at which TARGET fits into a memory: parameters, buffers, inputs and the pass's own peak.

    Lengths are multiples of 512. No optimizer state, and no other model beside it, is counted.
    """
    if of_models((options["target"],)):
        from attnprof.cli import of_model

        return of_model.limit(options)
    from attnprof.plan.accelerators import memory_of
    from attnprof.plan.checkpointed import checkpointed
    from attnprof.plan.limiting import longest

    refuse_untaken((options["target"],), {**options, "explicit": explicit()})
    target = asked_target(options["target"], options)
    shape = asked_shape(target, LAYER_STEP, options)
    costed = checkpointed(target) if options["checkpoint"] else target
    memory = memory_of(options["memory"])
    limit = longest(costed, shape, options["pass_"], memory)
    answer: JsonDict = {
        "target": target.name,
        "pass": options["pass_"],
        "memory_bytes": memory,
        "n": limit.n,
        "peak_bytes": limit.peak_bytes,
        "needed_bytes": limit.needed_bytes,
        "method": limit.method,
        "kernels": f"{limit.kernels}, as on a CPU; an accelerator's allocator rounds and its libraries keep workspaces",
    }
    if options["verify"]:
        answer["verified"] = verified(costed, shape.replace(n=limit.n), options["pass_"], limit.peak_bytes)
    if options["as_json"]:
        emit(answer)
        return 0
    say(answer)
    return 0


def verified(target: Target, shape: Shape, pass_: Pass, predicted: int) -> JsonDict:
    """The peak as measured at this length on this machine's device, beside the predicted one."""
    from attnprof.device import device_named
    from attnprof.measure.memory import peak
    from attnprof.measure.passes import passage

    device = device_named(DeviceName.AUTO)
    free = device.free_bytes()
    if predicted > free:
        raise AttnprofError(
            f"the pass would take {format_bytes(predicted)} here, where {format_bytes(free)} are free",
            hint="a smaller --memory, or no --verify",
        )
    module = target.build(shape).to(device.where)
    inputs = [x.to(device.where) for x in target.inputs(shape)]
    measured = peak(passage(module, inputs, pass_), device).peak_bytes
    return {"device": device.name, "peak_bytes": measured, "predicted_bytes": predicted}


def say(answer: JsonDict) -> None:
    """The answer in two sentences."""
    click.echo(
        f"{answer['target']} {answer['pass']}: n = {answer['n']} ({format_length(answer['n'])}) fits into "
        f"{format_bytes(answer['memory_bytes'])}: {format_bytes(answer['needed_bytes'])} in all, of which "
        f"{format_bytes(answer['peak_bytes'])} is the pass's own peak"
    )
    click.echo(f"by {answer['method']}; kernels assumed: {answer['kernels']}")
    check = answer.get("verified")
    if check:
        click.echo(f"measured here ({check['device']}): a peak of {format_bytes(check['peak_bytes'])}")
