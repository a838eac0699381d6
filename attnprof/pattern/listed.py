"""Parameters that are several integers: the levels of a scheme, or one value for each head."""

from __future__ import annotations

from attnprof.errors import AttnprofError


def numbers(text: int | str) -> list[int]:
    """The sizes of `2048,4096`, or the one of `512`. Raises `AttnprofError` for any other text."""
    parts = [part.strip() for part in str(text).split(",")]
    if not all(part.isdecimal() for part in parts):
        raise AttnprofError(f"{text!r} is not a list of sizes", hint="integers joined by commas: 64,64,512")
    return [int(part) for part in parts]


def of_head(sizes: int | str, head: int, heads: int) -> int:
    """What `head` of `heads` has: `512` of a single size; of a list the size of its share of the heads, in turn.

    `64,64,512` gives each third of the heads one; shares are as equal as they can be. Raises `AttnprofError` where
    there are more sizes than heads.
    """
    listed = numbers(sizes)
    if heads < len(listed):
        raise AttnprofError(
            f"{sizes!r} has {len(listed)} sizes for {heads} heads", hint="one for each head or group of heads"
        )
    return listed[head * len(listed) // heads]
