"""Public models as modules from hidden states to hidden states, small and without weights of anybody's."""

from __future__ import annotations

from typing import Any

import transformers
from torch import Tensor, nn


class Adapted(nn.Module):
    """A model of transformers that is given embeddings."""

    kind: str

    def __init__(self, dim: int = 64, inner: int = 128, length: int = 64) -> None:
        super().__init__()
        sizes = {"hidden_size": dim, "intermediate_size": inner, "num_hidden_layers": 2, "num_attention_heads": 8}
        config = getattr(transformers, f"{self.kind}Config")(vocab_size=64, **sizes, **self.own(length))
        self.model = getattr(transformers, f"{self.kind}Model")(config)

    def own(self, length: int) -> dict[str, Any]:
        """What this architecture needs beside the sizes."""
        return {}

    def forward(self, x: Tensor) -> Tensor:
        return self.model(inputs_embeds=x).last_hidden_state


class Llama(Adapted):
    """Grouped queries, causal: a mask is left out unless the model thinks that it is traced."""

    kind = "Llama"

    def own(self, length: int) -> dict[str, Any]:
        return {"num_key_value_heads": 2, "use_cache": False}


class Mistral(Adapted):
    """A causal window, half as long as the sequence of the tests."""

    kind = "Mistral"

    def own(self, length: int) -> dict[str, Any]:
        return {"num_key_value_heads": 2, "sliding_window": 64, "use_cache": False}


class Bert(Adapted):
    """Bidirectional, dense."""

    kind = "Bert"


class Nystromformer(Adapted):
    """Landmarks; it is made for one length, and makes a mask of ones by itself."""

    kind = "Nystromformer"

    def own(self, length: int) -> dict[str, Any]:
        return {"segment_means_seq_len": length, "num_landmarks": 16}


class Longformer(Adapted):
    """Windows; its forward reads from a mask whether any token is global."""

    kind = "Longformer"

    def own(self, length: int) -> dict[str, Any]:
        return {"attention_window": [32, 32]}
