"""The closed words: what a caller may choose from, spelled once.

A word is parsed by making it (`Pass("train")`) where it enters: the command line, Python, a record. An unknown one is
an `AttnprofError` with the nearest valid ones. A word is a `str` too, and is written and compared as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Self

from attnprof.errors import AttnprofError, unknown

# What people call a word who have not read which there are, and that is spelled nothing like it.
OTHERWISE = {
    "backward": "train",
    "inference": "forward",
    "generate": "decode",
    "half": "float16",
    "fp16": "float16",
    "bf16": "bfloat16",
    "double": "float64",
}


class Word(StrEnum):
    """A kind of closed word; its members are all that there is to choose from."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        plain = str(value).lower().removeprefix("torch.")
        meant = OTHERWISE.get(plain, plain)
        if meant in cls.values():
            raise AttnprofError(f"unknown {cls.noun()} {str(value)!r}", hint=f"did you mean {meant}?") from None
        raise unknown(cls.noun(), str(value), cls.values()) from None

    @classmethod
    def noun(cls) -> str:
        """What an error message calls such a word."""
        return cls.__name__.lower()

    @classmethod
    def values(cls) -> tuple[str, ...]:
        """The words as plain text, in order of definition."""
        return tuple(word.value for word in cls)

    @classmethod
    def several(cls, text: str) -> tuple[Self, ...]:
        """Words joined by commas, each once. Raises `AttnprofError` for an unknown one, or for none at all."""
        return cls.distinct(part.strip() for part in text.split(",") if part.strip())

    @classmethod
    def distinct(cls, given: Iterable[str]) -> tuple[Self, ...]:
        """The words given, each once. Raises `AttnprofError` for an unknown one, or for none at all."""
        found = tuple(dict.fromkeys(cls(word) for word in given))
        if not found:
            raise AttnprofError(f"no {cls.noun()} is named", hint=f"of {', '.join(cls.values())}")
        return found


class Pass(Word):
    """What is run: the forward alone, forward and backward, or one step of decoding."""

    FORWARD = "forward"
    TRAIN = "train"
    DECODE = "decode"


class Level(Word):
    """How much is run: the mixing of q, k, v; that with its projections; a pre-norm block with its FFN."""

    CORE = "core"
    ATTENTION = "attention"
    BLOCK = "block"


class Status(Word):
    """What became of a point."""

    OK = "ok"
    PREDICTED_OOM = "predicted_oom"
    OOM = "oom"
    OVER_BUDGET = "over_budget"
    TIMEOUT = "timeout"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    KILLED = "killed"


class RecordKind(Word):
    """What a record is of: a point with its cost, or a graph."""

    COST = "cost"
    GRAPH = "graph"

    @classmethod
    def noun(cls) -> str:
        return "kind of record"


class DType(Word):
    """The precision of inputs and parameters."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT64 = "float64"

    @property
    def bytes(self) -> int:
        """Bytes of one element."""
        return {"float64": 8, "float32": 4}.get(self.value, 2)


def _accelerators() -> dict[str, str]:
    """The devices that have a file beside that of the processor, as members of their enumeration."""
    names = {file.stem for file in (Path(__file__).parent / "device").glob("[a-z]*.py")}
    return {name.upper(): name for name in sorted(names - {"cpu"})}


class DeviceName(Word):
    """Where a point is run: a file of device/. `auto` is the accelerator if there is one; on `none` nothing is run."""

    AUTO = "auto"
    CPU = "cpu"
    locals().update(_accelerators())
    NONE = "none"

    @classmethod
    def noun(cls) -> str:
        return "device"

    @classmethod
    def accelerators(cls) -> tuple[Self, ...]:
        """Those that are no CPU."""
        return tuple(name for name in cls if name not in (cls.AUTO, cls.CPU, cls.NONE))


class Impl(str):
    """The name of a way to compute a scheme, which is that of its file in `impl/`; or the path of a user's own file.

    Made where it enters, like a `Word`: an unknown one is an `AttnprofError` with the nearest.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> Self:
        if not name.endswith(".py") and name not in cls.values():
            raise unknown(cls.noun(), name, cls.values())
        return super().__new__(cls, name)

    @classmethod
    def noun(cls) -> str:
        """What an error message calls it."""
        return "implementation"

    @classmethod
    def values(cls) -> tuple[str, ...]:
        """The names of those that ship, sorted."""
        return _implementations()


@cache
def _implementations() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in (Path(__file__).parent / "impl").glob("[!_]*.py")))


class Maths(Word):
    """What a scheme's maths is: a softmax over the edges of its pattern, or something of its own."""

    PATTERN = "pattern"
    OWN = "own"


class Layout(Word):
    """How the axes of a module's inputs lie: `x` as `bnd` or `nbd`, the streams q, k, v as `bhnd` or `bnhd`."""

    BND = "bnd"
    NBD = "nbd"
    BHND = "bhnd"
    BNHD = "bnhd"

    @property
    def of_streams(self) -> bool:
        """Whether it is one of q, k and v, which have an axis of heads."""
        return len(self.value) == 4


class EngineName(Word):
    """How the reach of a pattern is found; `auto` takes the first that understands it."""

    AUTO = "auto"
    CLOSED = "closed"
    TOEPLITZ = "toeplitz"
    QUOTIENT = "quotient"
    INTERVALS = "intervals"
    SLICES = "slices"
    CSR = "csr"
    SAMPLED = "sampled"

    @classmethod
    def noun(cls) -> str:
        return "engine"


class Severity(Word):
    """How serious a finding of a check is: a defect fails it, a warning is to be looked at, a note is to be known."""

    DEFECT = "defect"
    WARNING = "warning"
    NOTE = "note"


class Certainty(Word):
    """How a fact of a graph is known."""

    EXACT = "exact"
    BOUND = "bound"
    SAMPLED = "sampled"


class Preset(Word):
    """Parameters that follow the length as practitioners set them."""

    BY_LENGTH = "by-length"


class Timing(Word):
    """The measured seconds that two runs are compared by."""

    WALL_S = "wall_s"
    FORWARD_S = "forward_s"
    BACKWARD_S = "backward_s"

    @classmethod
    def noun(cls) -> str:
        return "metric"


class Executor(Word):
    """Where the jobs of a sweep run that leave this process: submitit's own names."""

    LOCAL = "local"
    SLURM = "slurm"


class GraphFormat(Word):
    """A file that the edges of a graph are written as."""

    CSR = "csr"
    GRAPHML = "graphml"
    GEXF = "gexf"


class FfnKind(Word):
    """What stands after the mixer of a block."""

    OWN = "own"
    PLAIN = "plain"
    GLU = "glu"
    MOE = "moe"
    NONE = "none"

    @classmethod
    def noun(cls) -> str:
        """What an error message calls it."""
        return "kind of FFN"


class StackTail(Word):
    """What the layers beyond the last whole period are: its first ones again, or all like its last one."""

    CUT = "cut"
    FILL = "fill"

    @classmethod
    def noun(cls) -> str:
        """What an error message calls it."""
        return "tail of a stack"


class PartRole(Word):
    """What a part of a stack is: what mixes tokens, the rest of its block, or what stands before and after all."""

    MIXER = "mixer"
    REST = "rest"
    ENDS = "ends"
