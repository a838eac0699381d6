"""How wide a text is, without a font at hand: advances wide enough for the sans faces that pages fall back to."""

from __future__ import annotations

WIDTHS = {
    **dict.fromkeys("ijl'|.,:;!", 0.32),
    **dict.fromkeys("ftrI()[]{}/- ", 0.40),
    **dict.fromkeys("mwMW%@≈", 0.98),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&", 0.72),
    **dict.fromkeys("_0123456789", 0.62),
}
OTHER = 0.60


def text_width(text: str, size: float) -> float:
    """The width of a text in letters of this height."""
    return size * sum(WIDTHS.get(c, OTHER) for c in text)
