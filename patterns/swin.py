"""Windows of a grid, and in every other layer the same windows moved by half their side."""

from itertools import pairwise

from attnprof.pattern import Card, Expr, GridWindows, Param, grid_width

CARD = Card(
    title="Swin Transformer",
    bib="liu2021swin",
    survey_class="downsampling",
    complexity_ours="O(n M^2) for windows of M x M",
    causality=(False,),
    maths="own",
    kv_heads=False,
    rule="same window of M x M tokens (even layers), of windows moved by shift (odd layers); windows do not wrap",
    edges_text="n M^2; moved: (sum of the squared pieces of one side)^2, the pieces shift, M, ..., M, M - shift",
    paper_n=3136,
    notes=(
        "scores carry a learned bias for each head and each of the (2 M - 1)^2 offsets within a window",
        "n tokens fill a grid by rows, H the smallest at or above sqrt(n), W = ceil(n / H); the last row may be short",
        "the grid is filled up to whole windows at the bottom and to the right; what fills it is masked as keys",
        "a grid no larger than a window has one window, and nothing is moved",
        "merging=true ends with patch merging: 2 x 2 tokens of width D to one of width 2 D",
        "the paper counts multiply-adds, not FLOPs: 4 n D^2 + 2 M^2 n D a layer with its projections",
    ),
    oracle="transformers SwinLayer",
)
PARAMS = {
    "window": Param(7, "7 (Liu et al. 2021, section 4)", least=1, most=grid_width),
    "shift": Param(source="floor(window / 2) (Liu et al. 2021, section 3.2)"),
    "merging": Param(False, "false: it stands between stages, not between layers (Liu et al. 2021, section 3.1)"),
}
EXAMPLES = ({"window": 4}, {"window": 4, "merging": True})


def resolve(n: int, *, window: int, shift: int | None) -> dict[str, int]:
    """Half a window unless given, less whole windows; no shift where one window has the whole grid."""
    moved = window // 2 if shift is None else shift % window
    return {"shift": moved if grid_width(n) > window else 0}


def layers() -> int:
    """Windows, and windows moved."""
    return 2


def pattern(n: int, *, layer: int, window: int, shift: int) -> Expr:
    """The windows of an even or of an odd layer."""
    return GridWindows(grid_width(n), window, shift if layer % 2 else 0)


def edges(n: int, *, layer: int, window: int, shift: int) -> int:
    """Squares of the numbers of tokens in all windows; the last row of the grid may be short."""
    width, moved = grid_width(n), shift if layer % 2 else 0
    whole, rest = divmod(n, width)
    total = 0
    for top, bottom in _pieces(whole + (rest > 0), window, moved):
        full = min(bottom, whole) - top
        for left, right in _pieces(width, window, moved):
            last = max(min(right, rest) - left, 0) if bottom > whole else 0
            total += (full * (right - left) + last) ** 2
    return total


def _pieces(side: int, window: int, shift: int) -> list[tuple[int, int]]:
    """First and last-but-one row (or column) of every window along one side."""
    cuts = [0, *range(shift or window, side, window), side]
    return list(pairwise(cuts))


def flops_paper(n: int, *, dim: int, window: int) -> int:
    """4 n M^2 D a layer, two layers: twice the paper's multiply-adds (Liu et al. 2021, equation 2)."""
    return 2 * 4 * n * window**2 * dim
