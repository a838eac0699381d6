"""No attention at all: a Fourier transform over positions and channels mixes the tokens."""

from attnprof.pattern import Card, Expr, Kernel

CARD = Card(
    title="FNet",
    bib="leethorp2022fnet",
    survey_class="",
    complexity_ours="O(n log n)",
    growth=1.1,
    causality=(False,),
    kv_heads=False,
    maths="own",
    rule="y = Re(FFT over positions of FFT over channels of x)",
    edges_text="none: every output is a fixed combination of all tokens, of full rank",
    paper_n=512,
    notes=(
        "no parameters and no heads: the weights are cosines that depend on i j alone",
        "a counter of matrix products sees nothing: a transform of N real points is counted as 2.5 N log2 N, N = n D",
        "written as two real products an axis instead it takes 4 n^2 D + 4 n D^2",
        "filling a sequence up with zeros changes every output: nothing can be masked",
        "no causal form: each frequency mixes all positions",
    ),
    oracle="torch.fft.fft2(x).real",
)


def pattern(n: int) -> Expr:
    """All tokens, by a matrix of full rank."""
    return Kernel(n)


def flops_paper(n: int, *, dim: int) -> int:
    """n D (log2 n + log2 D), up to a constant, logarithms rounded up (Lee-Thorp et al. 2022, table 1)."""
    return n * dim * ((n - 1).bit_length() + (dim - 1).bit_length())
