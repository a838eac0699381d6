"""Which layer of several a step is in: what two layers read of one state is read twice."""

from __future__ import annotations

from contextvars import ContextVar

turn: ContextVar[int] = ContextVar("turn", default=0)
