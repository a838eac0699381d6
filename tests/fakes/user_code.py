"""What people bring: code that reads values, asks whether it is traced, lies in other layouts, or is built already."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor


class Plain(nn.Module):
    """Softmax attention written out, with projections: the others mix in another way."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v

    def forward(self, x: Tensor) -> Tensor:
        b, n, width = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self.out(self.mix(q, k, v).transpose(1, 2).reshape(b, n, width))


class Causal(Plain):
    """Causal by itself: nothing in its constructor says so."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        n = q.shape[-2]
        future = torch.ones(n, n, dtype=torch.bool).triu(1)
        return (q @ k.transpose(-1, -2)).masked_fill(future, -1e9).softmax(-1) @ v


class Item(Plain):
    """Reads a number out of a tensor, and branches on it."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        largest = q.detach().abs().max().item()
        return super().mix(q, k, v) if largest < 1e9 else v


class Branch(Plain):
    """Asks a tensor whether anything in it is true."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if (q > 1e9).any():
            return v
        return super().mix(q, k, v)


class ToList(Plain):
    """Takes a tensor apart into Python numbers."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        kept = torch.arange(k.shape[-2])[::2].tolist()
        return super().mix(q, k[:, :, kept], v[:, :, kept])


class Nonzero(Plain):
    """Reads every second key, found by `nonzero`."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        kept = (torch.arange(k.shape[-2]) % 2 == 0).nonzero().squeeze(-1)
        return super().mix(q, k[:, :, kept], v[:, :, kept])


class Unique(Plain):
    """Reads every second key, found by `unique`."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        n = k.shape[-2]
        kept = torch.unique(torch.arange(n) % (n // 2))
        return super().mix(q, k[:, :, kept], v[:, :, kept])


class MaskedSelect(Plain):
    """Reads every second key, found by `masked_select`."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        kept = (torch.arange(k.shape[-2]) % 2 == 0)[:, None].expand_as(k)
        sizes = (*k.shape[:2], -1, k.shape[-1])
        return super().mix(q, k.masked_select(kept).view(sizes), v.masked_select(kept).view(sizes))


class ByData(Plain):
    """Reads the keys whose first number is positive: how many there are depends on the data."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        kept = (k[0, 0, :, 0] > 0).nonzero().squeeze(-1)
        return super().mix(q, k[:, :, kept], v[:, :, kept])


class Jagged(Plain):
    """Two sequences of different lengths side by side in one jagged tensor, through a linear layer twice."""

    def forward(self, x: Tensor) -> Tensor:
        _, n, width = x.shape
        rows = torch.nested.nested_tensor_from_jagged(x.reshape(-1, width), torch.tensor([0, n // 4, n]))
        return self.out(self.out(rows)).values().view(x.shape)


class Coo(Plain):
    """Each token reads the next one, through a sparse matrix of n stored scores (COO)."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        _, h, n, d = q.shape
        i = torch.arange(n)
        scores = torch.sparse_coo_tensor(torch.stack([i, (i + 1) % n]), torch.ones(n), (n, n))
        return torch.sparse.mm(scores, v[0].transpose(0, 1).reshape(n, h * d)).view(1, n, h, d).transpose(1, 2)


class Csr(Plain):
    """The same with compressed rows (CSR)."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        _, h, n, d = q.shape
        scores = torch.sparse_csr_tensor(torch.arange(n + 1), (torch.arange(n) + 1) % n, torch.ones(n), (n, n))
        return (scores @ v[0].transpose(0, 1).reshape(n, h * d)).view(1, n, h, d).transpose(1, 2)


class ReadsWhenMade(Plain):
    """Its constructor reads values, as those with a rate of dropout for each layer do."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]


class Traced(Plain):
    """Asks whether it is traced, and if so adds a mask of n by n that an eager run leaves out."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if isinstance(q, FakeTensor):
            scores = scores + torch.zeros(q.shape[-2], k.shape[-2])
        return scores.softmax(-1) @ v


class Breaks(Plain):
    """Raises."""

    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("no luck today")


class BreaksBackward(Plain):
    """Raises when it is trained."""

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        if out.requires_grad:
            out.register_hook(self.refuse)
        return out

    def refuse(self, gradient: Tensor) -> Tensor:
        raise ValueError("no gradient today")


class Normed(nn.Module):
    """Attention, then BatchNorm: in training, sequences of a batch see each other."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.attention, self.norm = Plain(dim, heads), nn.BatchNorm1d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.attention(x).transpose(1, 2)).transpose(1, 2)


class Capacity(Plain):
    """The loudest half of all tokens of the batch is let through, as experts of a capacity do."""

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        loud = x.norm(dim=-1).flatten()
        return out * (loud >= loud.median()).view(x.shape[:2])[..., None]


class SaysOtherwise(nn.Module):
    """States `batch_first=True` while its axes lie as [n, b, D]."""

    def __init__(self, dim: int = 64, heads: int = 4, batch_first: bool = True) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(dim, heads, batch_first=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x)[0]


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention on [b, h, n, d]."""
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


def attend_bnhd(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention on [b, n, h, d], the layout of flash_attn."""
    return attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)


def attend_causally(q: Tensor, k: Tensor, v: Tensor, is_causal: bool = False) -> Tensor:
    """Attention that takes causality by torch's own name for it."""
    return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=is_causal)


def talking(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Heads that mix: which axis is which cannot be seen from outside."""
    mixed = attend(q, k, v)
    return mixed + mixed.mean(1, keepdim=True)


def make(dim: int = 64, heads: int = 4) -> nn.Module:
    """A factory."""
    return Plain(dim, heads)


built = Plain()
tied = Plain()
tied.out.weight = nn.Parameter(torch.randn(64, 64))
tied.register_parameter("again", tied.out.weight)


@dataclass
class PlainConfig:
    """The config of `Configured`, in the words of nanoGPT."""

    n_embd: int = 32
    n_head: int = 2
    bias: bool = False


class Configured(Plain):
    """Made from a config and the number of its layer."""

    def __init__(self, config: PlainConfig, layer_idx: int) -> None:
        super().__init__(config.n_embd, config.n_head)
        self.layer_idx = layer_idx


class Unannotated(Plain):
    """Made from a config that nothing but the file names."""

    def __init__(self, config) -> None:  # type: ignore[no-untyped-def]
        super().__init__(config.n_embd, config.n_head)


class Crossed(Plain):
    """Reads a memory as well, and needs a mask and a rotation that it leaves alone."""

    def forward(
        self, hidden: Tensor, memory: Tensor, attn_mask: Tensor | None, *, position_ids: Tensor
    ) -> dict[str, Tensor]:
        assert attn_mask is None
        assert position_ids.tolist()[0] == list(range(hidden.shape[1]))
        return {"length": torch.tensor(1), "first": super().forward(hidden), "second": memory @ self.out.weight}


class Named(Plain):
    """Needs what its name does not say."""

    def forward(self, x: Tensor, gadget: Tensor) -> Tensor:
        return super().forward(x) + gadget


class Embedded(nn.Module):
    """Takes ids of a vocabulary of 7 words."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.table, self.attention = nn.Embedding(7, dim), Causal(dim, heads)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, None]:
        return self.attention(self.table(idx)), None


class Unmade(Plain):
    """Refuses to be made."""

    def __init__(self, dim: int = 64) -> None:
        raise ValueError("no such width today")


class Untrue(Plain):
    """Takes `causal`, and is not."""

    def __init__(self, dim: int = 64, heads: int = 4, causal: bool = False) -> None:
        super().__init__(dim, heads)


class Cross(nn.Module):
    """Reads a memory alone: no token moves another."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.inner(x, context, context)[0]
