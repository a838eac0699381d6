"""Which layers read a window where a config lists no layer, family by family."""

from __future__ import annotations

from collections.abc import Callable

from attnprof.models.model_config import ModelConfig
from attnprof.models.readers.building import FULL, WINDOW, every

Spans = Callable[[ModelConfig], list[str]]
KNOWN = (FULL, WINDOW)


def everything(config: ModelConfig) -> list[str]:
    """Every layer reads everything, whatever else a config says."""
    return [FULL] * config.depth


def everything_unless_listed(config: ModelConfig) -> list[str]:
    """Every layer reads everything where no layer is listed."""
    return config.kinds("layer_types", everything(config), known=KNOWN)


def window_if_set(config: ModelConfig) -> list[str]:
    """One scalar for all layers: windows where `sliding_window` is set."""
    return [FULL if config.maybe("sliding_window") is None else WINDOW] * config.depth


def window_if_used(config: ModelConfig) -> list[str]:
    """The same, where `use_sliding_window` says so too."""
    return window_if_set(config) if config.flag("use_sliding_window") else everything(config)


def windows_above(config: ModelConfig) -> list[str]:
    """Windows from the layer `max_window_layers` on, where they are used at all."""
    used = config.flag("use_sliding_window") and config.maybe("sliding_window") is not None
    first = config.size("max_window_layers", config.depth) if used else config.depth
    return config.kinds("layer_types", [WINDOW if i >= first else FULL for i in range(config.depth)], known=KNOWN)


def full_at_the_end_of(period: int) -> Spans:
    """Windows, and a full layer at the end of every period; none where no window is set."""

    def words(config: ModelConfig) -> list[str]:
        if config.maybe("sliding_window") is None:
            return everything_unless_listed(config)
        length = config.size("sliding_window_pattern", period)
        return config.kinds("layer_types", every(length, config.depth, FULL, WINDOW), known=KNOWN)

    return words


def full_at_the_start_of(period: int) -> Spans:
    """A full layer at the start of every period, windows after it."""

    def words(config: ModelConfig) -> list[str]:
        otherwise = [FULL if i % period == 0 else WINDOW for i in range(config.depth)]
        return config.kinds("layer_types", otherwise, known=KNOWN)

    return words
