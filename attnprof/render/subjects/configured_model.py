"""A whole model (`hf:...`) as a subject of a model page: from the answers of `cost`, `limit` and `audit`, no module."""

from __future__ import annotations

from collections.abc import Mapping

from attnprof.errors import AttnprofError
from attnprof.models.architecture import FeedForwardSizes, ModelGroup, ModelLayer, RecurrentMixer, SoftmaxMixer
from attnprof.models.caches import CacheAsk
from attnprof.models.lookup import NamedModel
from attnprof.models.reached import seen_after
from attnprof.plan.model_cost import ModelAsk, cost_of_model
from attnprof.plan.model_limit import frameworks_of_model, limit_of_model
from attnprof.records import JsonDict, JsonObject
from attnprof.render.layout.layer_strip import StripKind
from attnprof.render.subjects.model_subject import (
    PASSES,
    CostPart,
    EngineBytes,
    EqualLayers,
    KeptBytes,
    ModelSubject,
    PageAsk,
    PassWork,
)
from attnprof.words import FfnKind

KEYS: Mapping[CostPart, tuple[str, ...]] = {
    CostPart.PROJECTIONS: ("proj_flops", "conv_flops"),
    CostPart.CORE: ("core_flops_useful",),
    CostPart.RECURRENCE: ("recurrence_flops",),
    CostPart.SELECTION: ("index_flops",),
    CostPart.FFN: ("ffn_flops_active",),
    CostPart.ROUTER: ("router_flops",),
    CostPart.HEAD: ("head_flops",),
    CostPart.OTHER: ("other_flops",),
}
"""The figures of `cost --json` that are a part; together they are `flops_active`."""


def configured_model(named: NamedModel, ask: PageAsk) -> ModelSubject:
    """The subject of a model that is read from a config. Raises `AttnprofError` for an encoder."""
    model = named.architecture
    if not model.decodes:
        raise AttnprofError(
            f"{model.name} reads both ways, and a model page is of models that decode",
            hint=f"attnprof cost {model.name} has its figures",
        )
    cost = cost_of_model(named, ModelAsk(lengths=ask.lengths, passes=PASSES, kv=ask.kv, dtype=ask.dtype, tp=ask.tp))
    audited = frameworks_of_model(named, ask.lengths)
    reasons: dict[str, str] = {}
    limit: JsonObject = {}
    try:
        at = CacheAsk(n=1, kv=ask.kv, dtype=ask.dtype, tp=ask.tp)
        limit = limit_of_model(named, ask.memory, ask.lengths, ask=at, weights_dtype=ask.weights, card=ask.card)
    except AttnprofError as error:
        reasons["limit"] = f"{error.message} ({error.hint})" if error.hint else error.message
    return ModelSubject(
        name=model.name,
        short=model.name.removeprefix("hf:"),
        source=named.source,
        kinds=tuple(_kind(group) for group in model.groups),
        work={(entry["pass"], entry["n"]): _work(entry) for entry in cost["flops"]},
        kept={entry["n"]: _kept(entry) for entry in cost["caches"]},
        seen=tuple(seen_after(model)),
        params=cost["params"]["total"],
        active=cost["params"]["active"],
        passes_ffn_at=cost["crossover"]["core_over_ffn"],
        limit=limit.get("limit", {}),
        bounds=limit.get("decode_bounds", ()),
        frameworks={entry["n"]: entry["frameworks"] for entry in audited["lengths"]},
        notes=tuple(cost["notes"]),
        reasons=reasons,
    )


def _work(entry: JsonObject) -> PassWork:
    total = entry["total"]
    parts = {part: sum(total[key] for key in keys) for part, keys in KEYS.items()}
    tokens = entry["q"] or entry["n"]
    return PassWork(tokens, parts, tuple(group["flops_active"] for group in entry["groups"]))


def _kept(entry: JsonObject) -> KeptBytes:
    total = entry["total"]
    groups = tuple(group["kv_bytes"] + group["state_bytes"] for group in entry["groups"])
    engines = tuple(
        EngineBytes(
            name,
            engine["bytes"],
            ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in engine["assumptions"].items()),
            engine["why"] or "",
        )
        for name, engine in entry["engines"].items()
    )
    return KeptBytes(total["kv_bytes"] + total["state_bytes"], total["kv_bytes_per_token"], groups, engines)


def _kind(group: ModelGroup) -> EqualLayers:
    layer, ffn = group.layer, group.layer.ffn
    softmaxes = layer.softmaxes
    strip = StripKind(
        label=layer.title if layer.mixers else "",
        families=tuple(_family(mixer) for mixer in layer.mixers),
        experts=f"{ffn.active:,} of {ffn.experts:,}" if ffn.experts else "",
        bare=ffn.kind == FfnKind.NONE,
        shares_kv=bool(softmaxes) and all(mixer.kv_width == 0 for mixer in softmaxes),
    )
    where = tuple(at + 1 for at in group.where)
    return EqualLayers(strip, where, _sizes(layer), ffn_words(_ffn(ffn)), group.count * layer.params)


def _family(mixer: SoftmaxMixer | RecurrentMixer) -> str:
    """The hue of a mixer: that of the family which schemes are of that read as it does."""
    if isinstance(mixer, RecurrentMixer):
        return "recurrence" if mixer.state_elements else "lowrank"
    if mixer.indexer is not None or mixer.compression is not None:
        return "learned"
    return "exact" if mixer.window is None and mixer.chunk is None else "window"


def _sizes(layer: ModelLayer) -> str:
    return "; ".join(map(_mixer_sizes, layer.mixers))


def _mixer_sizes(mixer: SoftmaxMixer | RecurrentMixer) -> str:
    if isinstance(mixer, SoftmaxMixer):
        values = f"/{mixer.v_head_dim}" if mixer.v_head_dim != mixer.head_dim else ""
        return f"{mixer.heads} heads, {mixer.kv_heads} KV, width {mixer.head_dim}{values}"
    if mixer.state_elements:
        return f"{mixer.heads} heads, state {mixer.key_dim} × {mixer.value_dim}"
    return f"{mixer.conv_channels:,} channels, {mixer.conv_kernel} taps"


def _ffn(ffn: FeedForwardSizes) -> JsonDict:
    return {
        "kind": ffn.kind,
        "width": ffn.width,
        "experts": ffn.experts,
        "active": ffn.active,
        "shared": ffn.shared,
    }


def ffn_words(ffn: JsonObject) -> str:
    """An FFN in a few words: `GLU 14,336`, `4 of 32 experts, 2,880 wide, 1 shared`."""
    if not ffn or ffn["kind"] == FfnKind.NONE:
        return "none"
    if ffn.get("experts"):
        shared = f", {ffn['shared']} shared" if ffn.get("shared") else ""
        return f"{ffn['active']:,} of {ffn['experts']:,} experts, {ffn['width']:,} wide{shared}"
    word = {"glu": "gated", "plain": "plain"}.get(str(ffn["kind"]), str(ffn["kind"]))
    return f"{word}, {ffn['width']:,} wide" if ffn.get("width") else word
