"""FLOPs by submodule: which part of a module the work is in, backward included."""

from __future__ import annotations

from torch import nn
from torch.utils.hooks import RemovableHandle

from attnprof.contracts import Target
from attnprof.counting.believed import observe
from attnprof.counting.origin import Origin, backward_node
from attnprof.shapes import Shape
from attnprof.torch_private import next_sequence, sequence_of
from attnprof.words import Pass

REST = "(elsewhere)"


class ModuleOrigin(Origin):
    """Names the innermost submodule that a product, or the forward operator it is the backward of, ran in."""

    def __init__(self, module: nn.Module) -> None:
        self.open: list[tuple[str, int]] = []
        self.spans: list[tuple[int, int, str]] = []
        self.handles = [h for name, part in module.named_modules() for h in self._hook(name, part)]

    def _hook(self, name: str, part: nn.Module) -> tuple[RemovableHandle, RemovableHandle]:
        def enter(*_: object) -> None:
            self.open.append((name, next_sequence()))

        def leave(*_: object) -> None:
            opened, first = self.open.pop()
            self.spans.append((first, next_sequence(), opened))

        return part.register_forward_pre_hook(enter), part.register_forward_hook(leave, always_call=True)

    def name(self) -> str:
        """The submodule that the present operator belongs to; the whole module is the empty name."""
        if self.open:
            return self.open[-1][0]
        node = backward_node()
        if node is None:
            return REST
        number = sequence_of(node)
        inside = [(last - first, name) for first, last, name in self.spans if first <= number < last]
        return min(inside, key=lambda span: span[0])[1] if inside else REST

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()


def flops_by_module(target: Target, shape: Shape, pass_: Pass) -> dict[str, int]:
    """FLOPs of each submodule's own operators, by its dotted name, in the order of the module; they add up to all."""
    seen = observe(target, shape, pass_, lambda built, _: ModuleOrigin(built.module))
    order = [name for name, _ in seen.built.module.named_modules()]
    found = seen.run.tally.modules
    return {name: found[name] for name in (*order, REST) if name in found}
