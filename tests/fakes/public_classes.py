"""Public attention classes and models as their users name them, with the options of a command line that they need."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any

from attnprof.contracts import Target
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.targets.usage import Usage, settings_by_owner
from attnprof.usercode import fitted

HF = "transformers.models.{0}.modeling_{0}:{1}"
SDPA = "--config-arg attn_implementation=sdpa"
TWO_LAYERS = "--config-arg num_hidden_layers=2 --config-arg vocab_size=100 --config-arg intermediate_size=64"
OPTIONS = {"--arg": "arguments", "--config-arg": "config_arguments", "--input": "inputs", "--call": "call"}


@dataclass(frozen=True)
class PublicClass:
    """A class or function, the options that make and call it, the causality that it has, sizes that are asked of it.

    `heads`: whether it takes any.
    """

    text: str
    options: str = ""
    causal: bool | None = False
    sizes: dict[str, int] = field(default_factory=dict)
    heads: bool = True

    @property
    def told(self) -> str:
        """The text and its options, with the sizes that are asked of it."""
        asked = {"dim": 64, **({"heads": 4} if self.heads else {}), **self.sizes}
        sizes = "".join(f" --{name.replace('_', '-')} {size}" for name, size in asked.items())
        return " ".join(f"{self.text} {self.options}{sizes}".split())

    def shape(self, n: int) -> Shape:
        """The shape of those sizes, as it is made."""
        target = self.target()
        return fitted(target, Shape(n, dim=64, heads=4 if self.heads else 8, **self.sizes))

    @property
    def package(self) -> str:
        """The package that it is of."""
        return self.text.partition(":")[0].partition(".")[0]

    def target(self) -> Target:
        """The target that a command line finds."""
        words = shlex.split(self.options)
        said: dict[str, list[str]] = {}
        for option, value in zip(words[::2], words[1::2], strict=True):
            said.setdefault(OPTIONS[option], []).append(value)
        given: dict[str, Any] = {
            **{name: settings_by_owner(said.get(name, ())) for name in ("arguments", "config_arguments")},
            "inputs": tuple(said.get("inputs", ())),
            "call": next(iter(said.get("call", ())), None),
        }
        return door.find(self.text, usage=Usage(**given))


def hf(model: str, name: str, options: str = "", **more: Any) -> PublicClass:
    """A class of transformers that it does not export at its top."""
    return PublicClass(HF.format(model, name), options, **more)


CLASSES = (
    PublicClass("torch.nn:MultiheadAttention"),
    PublicClass("torch.nn:MultiheadAttention", "--arg batch_first=true --call 'm(x, x, x, need_weights=False)'"),
    PublicClass("torch.nn:TransformerEncoderLayer"),
    PublicClass("torch.nn:TransformerDecoderLayer"),
    PublicClass("torch.nn:Transformer", "--arg num_encoder_layers=1 --arg num_decoder_layers=1"),
    PublicClass("torch.nn.functional:scaled_dot_product_attention"),
    hf("llama", "LlamaAttention", f"{SDPA} --config-arg num_key_value_heads=2", causal=True),
    hf("llama", "LlamaAttention"),
    hf("llama", "LlamaDecoderLayer", SDPA, causal=True),
    hf("mistral", "MistralAttention", SDPA, causal=True),
    hf("qwen2", "Qwen2Attention", SDPA, causal=True),
    hf("qwen3", "Qwen3Attention", SDPA, causal=True),
    hf("gemma2", "Gemma2Attention"),
    hf("gpt2", "GPT2Attention", SDPA, causal=True),
    hf("gpt_neox", "GPTNeoXAttention", SDPA, causal=True),
    hf("phi", "PhiAttention", SDPA, causal=True),
    hf("bert", "BertSelfAttention"),
    hf("bert", "BertAttention"),
    hf("t5", "T5Attention"),
    hf("deepseek_v3", "DeepseekV3Attention", SDPA, causal=True),
    PublicClass("transformers:LlamaModel", TWO_LAYERS, causal=True),
    PublicClass("transformers:MistralModel", TWO_LAYERS, causal=True),
    PublicClass("transformers:BertModel", TWO_LAYERS),
    PublicClass("transformers:GPT2Model", "--config-arg n_layer=2 --config-arg vocab_size=100", causal=True),
    PublicClass("transformers:GPT2LMHeadModel", "--config-arg vocab_size=100 --input input_ids", causal=True),
    PublicClass("local_attention:LocalAttention", "--arg window_size=32"),
    PublicClass("local_attention:LocalMHA", "--arg window_size=32"),
    PublicClass("performer_pytorch:SelfAttention"),
    PublicClass("performer_pytorch:FastAttention", "--arg dim_heads=16 --arg nb_features=16"),
    PublicClass("linformer:LinformerSelfAttention", "--arg seq_len={n}"),
    PublicClass("reformer_pytorch:LSHSelfAttention", "--arg bucket_size=16"),
    PublicClass("reformer_pytorch:LSHAttention", "--arg bucket_size=16 --input qk=b,n,d --input v=b,n,d", heads=False),
    PublicClass("axial_attention:AxialAttention", "--arg num_dimensions=1"),
    PublicClass("axial_attention:AxialAttention", "--arg dim_index=-1 --input x=b,4,n,D"),
    PublicClass("axial_attention.axial_attention:SelfAttention"),
    PublicClass(
        "routing_transformer.routing_transformer:SelfAttention",
        "--arg depth=1 --arg max_seq_len={n} --arg local_attn_heads=2 --arg window_size=32",
    ),
    PublicClass("memory_compressed_attention:MemoryCompressedAttention"),
    PublicClass(
        "sinkhorn_transformer.sinkhorn_transformer:SinkhornSelfAttention", "--arg bucket_size=16 --arg max_seq_len={n}"
    ),
    PublicClass(
        "compressive_transformer_pytorch.compressive_transformer_pytorch:SelfAttention",
        "--arg seq_len={n} --arg mem_len=16 --arg cmem_len=4",
        causal=True,
    ),
    PublicClass(
        "colt5_attention:ConditionalRoutedAttention",
        "--arg num_heavy_tokens_q=16 --arg num_heavy_tokens_kv=16",
        heads=False,
    ),
    PublicClass("fla.ops.retention.naive:naive_retention", causal=True),
)
