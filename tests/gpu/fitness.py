"""Whether there is a device to run on: asked in a process of its own, so that the driver never touches it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ASK = "import sys; from tests.gpu.fitness import answer; answer(sys.argv[1])"
ASK_S = 120.0
SIGN = "FITNESS "
WANTED = ("fvcore", "plotly", "submitit", "fla", "einops", "triton", "transformers", "hypothesis", "pytest")


def ask(device: str, env: Mapping[str, str], cwd: Path) -> dict[str, Any]:
    """`{"unfit": why or "", "environment": ..., "packages": ...}` of a fresh interpreter; never raises."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK, device], env=env, cwd=cwd, capture_output=True, text=True, timeout=ASK_S
        )
    except subprocess.TimeoutExpired:
        return {"unfit": f"asking for the device took longer than {ASK_S:.0f} s", "environment": None, "packages": {}}
    line = next((line for line in done.stdout.splitlines() if line.startswith(SIGN)), None)
    if line is None:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return {"unfit": f"attnprof does not load here: {last}", "environment": None, "packages": {}}
    return json.loads(line.removeprefix(SIGN))


def answer(device: str) -> None:
    """Print what this interpreter finds."""
    import importlib.util

    from attnprof.device import device_named
    from attnprof.measure.environment import environment

    unfit = reason(device)
    found = {
        "unfit": unfit,
        "environment": environment(device_named("cpu" if unfit else device)),
        "packages": {name: importlib.util.find_spec(name) is not None for name in WANTED},
    }
    print(SIGN + json.dumps(found, default=str))


def reason(device: str) -> str:
    """Why nothing can run on the device; empty if it can."""
    import torch

    from attnprof.device import device_named

    if device == "cpu" or torch.cuda.is_available():
        return ""
    found = device_named(device).presence()
    return found.missing or f"torch {torch.__version__} cannot use {found.names[0]}"
