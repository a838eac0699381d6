"""The page of `attnprof graph`: one offline file that reads without scripts, pictures first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attnprof.records import GraphFacts, JsonDict
from attnprof.render import templating
from attnprof.render.backends.svg import svg
from attnprof.render.graph_curve import curve
from attnprof.render.layout.display import Display
from attnprof.render.layout.layer_strip import StripKind, layer_strip
from attnprof.render.layout.reaching import Reaching, reach_frame
from attnprof.render.palette import OTHER, distinct, families, family_of_scheme, hues
from attnprof.render.pictures import data_uri

if TYPE_CHECKING:
    from attnprof.graph.views import Cone, Image, Views

MOST_FRAMES = 16
HUES_FROM = 100
STRIP_WIDTHS = (1180.0, 358.0)
SIZES = ((620.0, 330.0), (358.0, 250.0))
FAINTEST = 1e-4


def write_graph_page(path: str | Path, found: Sequence[tuple[GraphFacts, Views]], header: Mapping[str, object]) -> Path:
    """Write the page of some targets to `path`: each a pair of its facts and its views. Same input, same bytes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(graph_page(found, header), encoding="utf-8")
    return path


def graph_page(found: Sequence[tuple[GraphFacts, Views]], header: Mapping[str, object]) -> str:
    """The page as text; see `write_graph_page`."""
    frames_of = [reach_frame(_reaching(found), *size, labels=True) for size in SIZES]
    context = {
        "header": {"command": None, **header},
        "frames": [templating.safe(svg(frame)) for frame in frames_of],
        "styles": [*distinct(len(found)), *hues(HUES_FROM).values()],
        "targets": [section(facts, views, f"g{k}") for k, (facts, views) in enumerate(found)],
        "css": templating.style("figure.css", "page.css", "graph.css"),
        "script": templating.script("graph.js"),
    }
    return templating.html().get_template("graph.html.j2").render(context)


def _reaching(found: Sequence[tuple[GraphFacts, Views]]) -> list[Reaching]:
    """The reach of every target, with the bounds of what was sampled or bounded."""
    made = []
    for style, (facts, _) in zip(distinct(len(found)), found, strict=True):
        shares = [(int(e["layer"]), float(e["share"])) for e in facts["reach"]]
        ends = [(int(e["layer"]), e["low"], e["high"]) for e in facts["reach"] if e.get("low") is not None]
        bounds = [(k, float(low), float(high)) for k, low, high in ends if high is not None]
        made.append(Reaching(str(facts["target"]), style, shares, bounds))
    return made


def strips(facts: GraphFacts) -> list[Display]:
    """The layers of a target in order, wide and narrow: of a stack by name, else by kind; none where all are alike."""
    stack, kinds = facts["stack"], facts.get("edges_by_layer") or []
    of = {int(layer): f"kind {k}" for k, kind in enumerate(kinds, start=1) for layer in kind["layers"]}
    named = [layer["label"] for layer in stack["layers"]] if stack else [of[layer] for layer in sorted(of)]
    labels = list(dict.fromkeys(named))
    if len(labels) < 2:
        return []
    others = [key for key in families() if key != OTHER]
    told_by = [
        family_of_scheme(label.split(" ")[0]) if stack else others[k % len(others)] for k, label in enumerate(labels)
    ]
    made = [StripKind(label, (family,), bare=True) for label, family in zip(labels, told_by, strict=True)]
    order, said = [labels.index(name) for name in named], f"{len(named)} layers of {facts['target']}, by kind"
    return [layer_strip(said, made, order, hues(HUES_FROM), width) for width in STRIP_WIDTHS]


def section(facts: GraphFacts, views: Views, key: str) -> JsonDict:
    """What the template needs of one target."""
    return {
        "key": key,
        "facts": facts,
        "masks": [
            {**_picture(mask.image.values, mask.image.pixel), "layer": mask.layer, "beside": mask.beside}
            for mask in views.masks
        ],
        "hops": None if views.hops is None else _hops(views.hops),
        "frames": frames(views),
        "cones": [_cone(cone, views) for cone in views.cones],
        "curve": curve(facts),
        "table": table(facts),
        "strip": [templating.safe(svg(drawn)) for drawn in strips(facts)],
    }


def frames(views: Views) -> list[JsonDict]:
    """The pictures of the pairs within k layers, at most 16 of them, the first and the last among them."""
    layers = sorted(views.within)
    if len(layers) > MOST_FRAMES:
        picks = np.unique(np.geomspace(1, len(layers), MOST_FRAMES).astype(int)) - 1
        layers = [layers[at] for at in picks]
    return [{"layer": layer, **_picture(views.within[layer].values, views.within[layer].pixel)} for layer in layers]


def _hops(image: Image) -> JsonDict:
    """Near is dark: from one hop in black to the most in light grey; blank where nothing is ever reached."""
    most = float(np.nanmax(image.values))
    near = 1.0 - 0.92 * np.clip(image.values - 1.0, 0.0, None) / max(most - 1.0, 1e-9)
    return {**_picture(near**2, image.pixel), "most": most}


def _picture(values: np.ndarray, pixel: int) -> dict[str, object]:
    ink = np.nan_to_num(values)
    return {"uri": data_uri(ink), "side": len(ink), "pixel": pixel, "darkest": float(ink.max())}


def _cone(cone: Cone, views: Views) -> JsonDict:
    """Reach as it is; influence, where it is known, on a logarithmic scale from a ten-thousandth of a fair share."""
    found = {
        "query": cone.query,
        "layers": len(cone.reach),
        "reach": data_uri(cone.reach),
        "influence": None,
        "at": cone.query / max(views.n - 1, 1),
    }
    if cone.influence is None:
        return found
    most = float(cone.influence.max())
    scaled = np.log(np.maximum(cone.influence, FAINTEST) / FAINTEST) / np.log(max(most, 1.0) / FAINTEST)
    return {**found, "influence": data_uri(scaled), "most": most, "far": float(cone.influence[-1].min())}


def table(facts: GraphFacts) -> list[tuple[str, object, str, str]]:
    """Name, value, how sure, reason or interval: the facts that are single numbers."""
    rows = []
    for key, name in NAMES.items():
        value = facts.get(key)
        if key == "components" or value is not None or key in facts["reasons"]:
            why = _interval(facts.get(f"{key}_interval")) or facts["reasons"].get(key, "")
            rows.append((name, value, facts["exact"].get(key, ""), why))
    return rows


def _interval(found: Mapping[str, object] | None) -> str:
    return "" if found is None else f"95% interval {found['low']:.3f} to {found['high']:.3f}, {found['wedges']} wedges"


NAMES = {
    "edges": "edges of a head, mean over heads and layers",
    "edges_sum": "edges over its softmaxes",
    "density": "density of a head, mean",
    "dead_queries": "queries that read nothing, in the head with most",
    "unread_keys": "keys that nobody reads, in the layer with most",
    "components": "pieces that do not meet",
    "strong_components": "strongly connected parts",
    "layers_to_full": "layers to full reach",
    "max_hops": "most hops of a pair",
    "mean_hops": "mean hops",
    "effective_diameter_90": "hops of 90% of pairs",
    "diameter": "diameter",
    "radius": "radius",
    "diameter_unit": "diameter and radius count",
    "reached_share": "share of allowed pairs ever reached",
    "hubs": "global tokens, or hubs by degree",
    "clustering": "clustering coefficient, heads united",
    "edges_per_reached_pair": "edges per reached pair",
}
