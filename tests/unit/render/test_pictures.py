import io

import numpy as np
import pytest

from attnprof.render.pictures import png


def test_a_picture_is_a_png_with_the_density_as_opacity() -> None:
    image = pytest.importorskip("PIL.Image")
    density = np.array([[0.0, 1.0, 0.25], [1e-6, 0.5, 0.0]])
    found = np.asarray(image.open(io.BytesIO(png(density))).convert("LA"))
    assert found.shape == (2, 3, 2)
    assert not found[..., 0].any()
    alpha = found[..., 1]
    assert (alpha == 0).tolist() == (density == 0).tolist()
    assert alpha[0, 1] == 255
    assert alpha[1, 0] >= 40
    assert alpha[0, 2] < alpha[1, 1] < 255


def test_the_same_density_gives_the_same_bytes() -> None:
    density = np.random.default_rng(0).random((64, 64))
    assert png(density) == png(density)


def test_what_repeats_is_packed() -> None:
    """A mask that repeats from row to row is small, whatever its runs: within one row no run is longer than a pixel."""
    checked = np.indices((256, 256)).sum(0) % 2
    assert len(png(checked)) < 256 * 256 / 50
