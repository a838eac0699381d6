"""What may be said of a user's code: which flags it takes, and names that tell two pieces of it apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attnprof.contracts import Target
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.usercode import UserCode

FLAGS: Mapping[str, str] = {
    "causal": "--causal",
    "heads": "--heads",
    "kv_heads": "--kv-heads",
    "head_dim": "--head-dim",
    "v_head_dim": "--v-head-dim",
    "level": "--level",
    "depth": "--depth",
    "m": "--keys",
    "impl": "--impl",
}


def refuse_unbound(targets: Sequence[tuple[Target, Shape]], explicit: Iterable[str], *, flags: bool = True) -> None:
    """Raise `AttnprofError` for a size that was asked for in so many words, but that no target takes.

    What some target takes is recorded as unknown of the others. `flags`: sizes are named as on the command line.
    """
    for name in explicit:
        if name in FLAGS and targets and all(not takes(target, shape, name) for target, shape in targets):
            said, arguments = (FLAGS[name], "--arg KEY=VALUE") if flags else (name, "target(..., key=value)")
            which = ", ".join(dict.fromkeys(target.source for target, _ in targets if isinstance(target, UserCode)))
            hints = dict.fromkeys(f"{t.takes}" for t, _ in targets if isinstance(t, UserCode))
            raise AttnprofError(
                f"{said} binds to nothing in {which}, and would be recorded as if it were true of it",
                hint=f"{'; '.join(hints)}; give what it has by {arguments}, and leave {said} out",
            )


def takes(target: Target, shape: Shape, name: str) -> bool:
    """Whether a size of a shape decides anything of a target."""
    if not isinstance(target, UserCode):
        return True
    if name == "m":
        return target.reads_keys_of_its_own(shape)
    return name not in ("depth", "impl") and name not in target.unknown(shape)
