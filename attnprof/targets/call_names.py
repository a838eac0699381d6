"""What the names of a call's parameters mean: `hidden_states` is rows [b, n, D], `memory` [b, m, D], a mask is None."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping

from attnprof.errors import AttnprofError
from attnprof.targets.calls import CallArgument, CallForm, CallInput, InputKind, InputRef, Term, names_in
from attnprof.targets.signatures import STREAMS

ROWS = ("hidden_states", "hidden_state", "hidden", "x", "inputs_embeds", "src", "tgt", "inputs", "input", "embeddings")
QUERIES = ("query", "queries", "q", "input_tensor", "input_embeds", "input_embeddings")
CONTEXT = ("memory", "context", "encoder_hidden_states", "encoder_output", "encoder_outputs", "key_value_states")
IDS = ("input_ids", "ids", "idx", "tokens", "token_ids", "input_tokens")
POSITIONS = ("position_ids", "cache_position", "positions", "position", "input_pos")
ROTATION = "position_embeddings"
NOTHING = ("past_key_values", "past_key_value", "layer_past", "past", "cache", "labels", "targets", "head_mask")
CONSTANTS: Mapping[str, Term] = {"use_cache": False, "output_attentions": False, "output_hidden_states": False}
ALWAYS = (ROTATION, "use_cache")  # given although they have a default: without them a call fails, or keeps its keys
STREAMS_OF_HEADS = (("b", "h", "n", "d"), ("b", "g", "m", "d"), ("b", "g", "m", "d_v"))
FEWEST_STREAMS = 3

Parameters = Mapping[str, inspect.Parameter]


def meaning(name: str) -> Term | CallInput | tuple[CallInput, ...]:
    """What a parameter of this name is given. Raises `KeyError` for one that says nothing.

    An input, the inputs of a tuple, or a constant.
    """
    word = name.lower()
    if word in (*ROWS, *QUERIES):
        return CallInput(name, ("b", "n", "D"), stream=True)
    if word in IDS:
        return CallInput(name, ("b", "n"), InputKind.IDS, stream=True)
    if word in CONTEXT:
        return CallInput(name, ("b", "m", "D"))
    if word in POSITIONS:
        return CallInput(name, ("n",) if word in ("cache_position", "input_pos") else ("b", "n"), InputKind.POSITIONS)
    if word == ROTATION:
        return meaning_of_rotation("cos"), meaning_of_rotation("sin")
    if word in ("cos", "sin"):
        return meaning_of_rotation(word)
    if word in NOTHING or "mask" in word or word.startswith("is_index"):
        return None
    return CONSTANTS[word]


def meaning_of_rotation(word: str) -> CallInput:
    """The cosines or sines of a rotation by position, [b, n, d]."""
    return CallInput(word, ("b", "n", "d"), InputKind.COSINES if word == "cos" else InputKind.SINES)


def by_name(
    code: Callable[..., object], said: Iterable[CallInput], *, function: bool, projects: Callable[[], bool]
) -> CallForm:
    """The call of a function, or of a module's `forward`, by the names of its parameters.

    `said` are inputs that the user describes. `projects()`: whether a module's first layer takes rows of the width, by
    which a `forward(query, key, value)` takes rows and not heads. Raises `AttnprofError` for a required parameter
    whose name says nothing.
    """
    parameters = _parameters(code)
    described = {it.name: it for it in said}
    if parameters is None:
        return _positional(_heads(("q", "k", "v")))
    _check_taken(described, parameters)
    needed = [p for p in parameters.values() if _needed(p)]
    binder = Binder(described, "tgt" in parameters)
    first = tuple(p.name for p in needed[:FEWEST_STREAMS])
    if len(first) == FEWEST_STREAMS and _are_streams(first, described):
        rows = not function and _are_named(first) and projects()
        binder.streams(_rows(first) if rows else _heads(first))
    for parameter in needed:
        binder.needed(parameter)
    for name in filter({*described, *ALWAYS}.__contains__, parameters):
        binder.optional(parameters[name])
    if not binder.has_stream:
        binder.main(parameters)
    return binder.form(parameters)


def _parameters(code: Callable[..., object]) -> Parameters | None:
    try:
        found = inspect.signature(code).parameters
    except (TypeError, ValueError):
        return None
    return {name: parameter for name, parameter in found.items() if name != "self"}


def _check_taken(described: Iterable[str], parameters: Parameters) -> None:
    """Raise `AttnprofError` for an input that no parameter takes."""
    strange = [name for name in described if name not in parameters]
    if strange and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise AttnprofError(
            f"--input {strange[0]} is none of its parameters",
            hint=f"it takes ({', '.join(parameters)}); or say the whole call: --call 'm(x, {strange[0]})'",
        )


def _needed(parameter: inspect.Parameter) -> bool:
    named = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in named


def _are_named(names: tuple[str, ...]) -> bool:
    """Whether three parameters are called query, key and value, in this order."""
    return all(name.lower() in kind for name, kind in zip(names, STREAMS, strict=True))


def _are_streams(names: tuple[str, ...], described: Mapping[str, CallInput]) -> bool:
    """Whether three required parameters are q, k and v: by their names, or because none says anything else."""
    if all(name.lower() in kind for name, kind in zip(names, STREAMS, strict=True)):
        return not any(name in described for name in names)
    return not any(name in described or _means(name) for name in names)


def _means(name: str) -> bool:
    try:
        meaning(name)
    except KeyError:
        return False
    return True


def _heads(names: tuple[str, ...]) -> tuple[CallInput, ...]:
    return tuple(CallInput(name, axes, stream=True) for name, axes in zip(names, STREAMS_OF_HEADS, strict=True))


def _rows(names: tuple[str, ...]) -> tuple[CallInput, ...]:
    return tuple(CallInput(name, ("b", "n", "D"), stream=True) for name in names)


def _positional(inputs: tuple[CallInput, ...]) -> CallForm:
    return CallForm(tuple(CallArgument(it.name, InputRef(it.name)) for it in inputs), inputs)


class Binder:
    """Collects what each parameter is given. `decodes`: `src` is what `tgt` reads, not what is followed."""

    def __init__(self, described: Mapping[str, CallInput], decodes: bool) -> None:
        self.described, self.decodes = described, decodes
        self.inputs: dict[str, CallInput] = {}
        self.terms: dict[str, Term] = {}

    @property
    def has_stream(self) -> bool:
        """Whether anything has queries yet."""
        return any(it.stream for it in self.inputs.values())

    def streams(self, inputs: Iterable[CallInput]) -> None:
        """Bind q, k and v."""
        for it in inputs:
            self._bind(it.name, it)

    def needed(self, parameter: inspect.Parameter) -> None:
        """Bind a parameter that has no default; the first is rows whatever it is called."""
        if parameter.name in self.terms:
            return
        try:
            self._bind(parameter.name, self._given(parameter.name))
        except KeyError:
            if self.has_stream:
                raise AttnprofError(
                    f"its call needs {parameter.name!r}, of which the name does not say what it is",
                    hint=f"say it: --input {parameter.name}=b,n,D, or the whole call: --call 'm(x, {parameter.name})'",
                ) from None
            self._bind(parameter.name, CallInput(parameter.name, ("b", "n", "D"), stream=True))

    def optional(self, parameter: inspect.Parameter) -> None:
        """Bind a parameter that has a default, which is not to stand."""
        if parameter.name not in self.terms:
            self._bind(parameter.name, self._given(parameter.name))

    def main(self, parameters: Parameters) -> None:
        """Bind what is followed where nothing is required: rows before ids, which no gradient reaches."""
        names = [name for words in ((*ROWS, *QUERIES), IDS) for name in parameters if name.lower() in words]
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        nameless = [name for name, p in parameters.items() if p.kind in kinds and not _means(name)]
        name = (names or nameless or ["x"])[0]
        self._bind(name, self._given(name) if _means(name) else CallInput(name, ("b", "n", "D"), stream=True))

    def _given(self, name: str) -> Term | CallInput | tuple[CallInput, ...]:
        if name in self.described:
            return self.described[name]
        if name == "src" and self.decodes:
            return CallInput(name, ("b", "m", "D"))
        return meaning(name)

    def _bind(self, name: str, given: Term | CallInput | tuple[CallInput, ...]) -> None:
        if isinstance(given, CallInput):
            self.inputs[given.name], self.terms[name] = given, InputRef(given.name)
        elif isinstance(given, tuple):
            inputs = [it for it in given if isinstance(it, CallInput)]
            self.inputs.update({it.name: it for it in inputs})
            self.terms[name] = tuple(InputRef(it.name) for it in inputs)
        else:
            self.terms[name] = given

    def form(self, parameters: Parameters) -> CallForm:
        """The call: by position as long as no parameter is skipped, by name from there on."""
        arguments, skipped = [], False
        for name, parameter in parameters.items():
            if name in self.terms:
                by_word = parameter.kind is parameter.KEYWORD_ONLY or (
                    skipped and parameter.kind is not parameter.POSITIONAL_ONLY
                )
                arguments.append(CallArgument(name, self.terms[name], by_word))
            else:
                skipped = True
        others = [CallArgument(name, term) for name, term in self.terms.items() if name not in parameters]
        order = dict.fromkeys(name for argument in (*others, *arguments) for name in names_in(argument.term))
        return CallForm((*others, *arguments), tuple(self.inputs[name] for name in order))
