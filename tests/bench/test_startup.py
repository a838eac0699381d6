"""How soon help and the list answer: processor time of whole processes."""

import resource
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_the_answer_takes_a_quarter_of_a_second_of_processor_time(arguments: list[str]) -> None:
    """Processor time: what the clock shows on an idle machine, whatever else this one does."""
    taken = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "attnprof", *arguments], capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(taken) < 0.25  # on a machine of its own
