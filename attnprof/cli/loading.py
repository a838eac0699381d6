"""Importing torch for a command that counts and ends: without the garbage collector, which would cost a second."""

from __future__ import annotations

import gc


def load() -> None:
    """Import all that counting needs, once, and leave it out of the collector's sight from then on.

    While torch is imported there is no garbage, but there are a million new objects, through which the collector would
    walk again and again; and so it would once more when the process ends.
    """
    gc.disable()
    try:
        from attnprof.counting.built import fake_mode
        from attnprof.counting.counted import count

        assert count
        fake_mode()  # imports the rest on its first call
    finally:
        gc.freeze()
        gc.enable()
