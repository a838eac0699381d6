"""What holds for all tests: no deadline for an example, which of them are quick, in what order they run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A deadline for each example would fail on a busy machine, and on whatever is imported by the first one.
settings.register_profile("attnprof", deadline=None)
settings.load_profile("attnprof")

UNIT = Path(__file__).parent / "unit"
# `pytest -m quick`: the unit tests but for files that take some seconds each. Every room keeps some.
TAKES_SECONDS = frozenset(
    f"{UNIT}/{name}.py"
    for name in (
        "checks/test_planted",
        "closed_forms/test_closed_forms",
        "counting/test_counting",
        "counting/test_flash_kernel",
        "counting/test_flex_modules",
        "counting/test_memory",
        "counting/test_origin",
        "counting/test_peaks",
        "counting/test_peaks_public",
        "counting/test_saved",
        "counting/test_selected_weights",
        "counting/test_stacks",
        "counting/test_weights",
        "device/test_one_file",
        "graph/test_bounds",
        "graph/test_compiled",
        "graph/test_draws",
        "graph/test_engines",
        "graph/test_globals",
        "graph/test_metrics",
        "graph/test_sampled",
        "graph/test_stacks",
        "impl/test_flex_compiled",
        "impl/test_implementations",
        "impl/test_of_edges",
        "layers/test_reversible",
        "plan/test_module_check",
        "render/test_page",
        "render/test_paper",
        "schemes/test_reformer",
        "sweeps/test_child",
        "sweeps/test_cluster",
        "targets/test_accepted",
        "targets/test_binding",
        "targets/test_calls",
        "targets/test_door",
        "targets/test_mask_mod",
        "targets/test_modules_table",
        "targets/test_public_classes",
        "targets/test_real_runs",
        "targets/test_stack",
        "targets/test_transformers",
        "test_adding",
        "test_dead_code",
        "test_imports",
        "test_other_systems",
        "test_plugin",
        "test_quantities",
        "test_readme",
        "test_torch_private",
        "test_words",
    )
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--backwards`: the last test first, which shows a test that passes only after another one."""
    parser.addoption("--backwards", action="store_true", help="Run the last test first.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is quick by where it stands."""
    if config.getoption("backwards"):
        items.reverse()
    for item in items:
        if item.path.is_relative_to(UNIT / "oracles") or str(item.path) in TAKES_SECONDS:
            continue
        if item.path.is_relative_to(UNIT) and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.quick)
