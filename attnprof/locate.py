"""Where the shipped folders are: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from attnprof.errors import AttnprofError

PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The folder `name` (`patterns`, `reports`): `attnprof/_<name>` of a wheel, else beside the package in a checkout.

    Raises `AttnprofError` where neither exists, which only a broken installation shows.
    """
    places = (PACKAGE / f"_{name}", PACKAGE.parent / name)
    for place in places:
        if place.is_dir():
            return place
    raise AttnprofError(
        f"the folder {name!r} that attnprof ships is at neither {places[0]} nor {places[1]}",
        hint="reinstall attnprof, or run it from a complete checkout",
    )
