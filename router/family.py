"""Model families as data: how a backend is told to think or not, and what a request must lose or gain on the way there.

Knows request fields; knows nothing about HTTP. A body is a mapping from field name to raw JSON (`msgspec.Raw`), so that
whatever is not touched here reaches the backend byte for byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, Literal, get_args

import msgspec
import yaml

from router.history import History, tidy
from router.mode import Mode
from router.switches import without_switches
from router.tags import GRAMMARS, TagReader

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
Body = dict[str, msgspec.Raw]
Kind = Literal["pair", "hybrid", "self-judging"]
_KEYS = frozenset(
    (
        *("kind", "like", "switches", "send", "drop", "drop_instruct", "efforts", "system", "history", "tags"),
        *("begins", "prefill", "closing", "sampling"),
    )
)


AS_ASKED = -1
_BUDGET = "thinking_token_budget"


@dataclass(frozen=True, slots=True)
class Family:
    """One family; see families.yaml for the meaning of each field. Sampling values are raw JSON by mode and field."""

    name: str
    kind: Kind
    knows_switches: bool = False
    send: Mapping[Mode | None, Mapping[str, Any]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    drop_instruct: tuple[str, ...] = ()
    drop_names: frozenset[str] = frozenset()
    efforts: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[Mode, str] = field(default_factory=dict)
    history: History = History.KEEP
    tags: str = ""
    begins: Mapping[Mode | None, str] = field(default_factory=dict)
    prefill: Mapping[Mode, str] = field(default_factory=dict)
    closing: str = "\n</think>\n\n"
    sampling: Mapping[Mode | None, Mapping[str, msgspec.Raw]] = field(default_factory=dict)
    budget: int | None = AS_ASKED
    """Most tokens of thinking, for one request: see `limited`."""

    @classmethod
    def from_dict(cls, name: str, data: Mapping[str, Any]) -> "Family":
        """Build a family from its YAML mapping; what makes no sense raises ValueError."""
        if unknown := set(data) - _KEYS:
            raise ValueError(f"family `{name}` has unknown keys: {', '.join(sorted(unknown))}")
        if data.get("kind") not in get_args(Kind):
            raise ValueError(f"family `{name}`: kind must be one of {', '.join(get_args(Kind))}")
        tags = data.get("tags", "")
        if tags and tags not in GRAMMARS:
            raise ValueError(f"family `{name}`: tags must be one of {', '.join(GRAMMARS)}")
        if data["kind"] == "self-judging" and not tags:
            raise ValueError(f"family `{name}`: a model that judges itself needs `tags`, to be read by")
        try:
            history = History(data.get("history", "keep"))
        except ValueError:
            raise ValueError(f"family `{name}`: history must be one of {', '.join(History)}") from None
        return cls(
            name=name,
            kind=data["kind"],
            knows_switches=data.get("switches", "unknown") == "known",
            send=_by_mode(data.get("send", {})),
            drop=tuple(data.get("drop", ())),
            drop_instruct=tuple(data.get("drop_instruct", ())),
            drop_names=frozenset(
                path.partition(".")[0] for key in ("drop", "drop_instruct") for path in data.get(key, ())
            ),
            efforts=dict(data.get("efforts", {})),
            system=_texts(data.get("system", {})),
            history=history,
            tags=tags,
            begins=_begins(data.get("begins", {})),
            prefill=_texts(data.get("prefill", {})),
            closing=str(data.get("closing", "\n</think>\n\n")),
            sampling={
                mode: {key: msgspec.Raw(_encode(value)) for key, value in fields.items()}
                for mode, fields in _by_mode(data.get("sampling", {})).items()
            },
        )

    def limited(self, tokens: int | None) -> "Family":
        """The same family with a thinking budget of so many tokens, whatever the request says; None: without one."""
        return replace(self, budget=tokens)

    def prepare(self, body: Body, mode: Mode | None, *, messages: list[Any] | None, switch: Mode | None) -> None:
        """Rewrite `body` in place for a backend of this family in `mode`; None: the model decides itself.

        `messages` are the decoded messages and `switch` the soft switch found in them (None: nothing to strip).
        """
        effort = body.get("reasoning_effort") if self.efforts else None
        if not self.drop_names.isdisjoint(body):  # most requests say nothing of thinking
            for path in self.drop:
                _drop(body, path)
            if mode is Mode.INSTRUCT:
                for path in self.drop_instruct:
                    _drop(body, path)
        if mode is Mode.THINKING and body.get("thinking_token_budget") == _ZERO:
            # A budget of nothing contradicts the decision that was made above it in the ladder.
            del body["thinking_token_budget"]
        if self.budget != AS_ASKED and mode is Mode.THINKING and _BUDGET not in self.drop:
            body.pop(_BUDGET, None)
            if self.budget is not None:
                body[_BUDGET] = msgspec.Raw(b"%d" % self.budget)
        for name, value in self.send.get(mode, {}).items():
            _merge(body, name, value)
        if effort is not None and mode is not Mode.INSTRUCT:
            known = self.efforts.get(str(_decode(effort)))
            if known is not None:
                body["reasoning_effort"] = msgspec.Raw(_encode(known))
        for name, raw in self.sampling.get(mode, {}).items():
            if name not in body:
                body[name] = raw
        if messages is not None:
            self._rewrite(body, mode, messages, switch)

    def tidied(self, messages: list[Any], mode: Mode | None) -> list[Any] | None:
        """`messages` with the earlier thinking that this family wants to see, or None where nothing changes."""
        if self.history is History.KEEP:
            return None
        # An Instruct model's template has no place for thinking, not even for that of a tool loop.
        alone = self.kind == "pair" and mode is Mode.INSTRUCT
        return tidy(messages, History.ANSWERS if alone else self.history)

    def _rewrite(self, body: Body, mode: Mode | None, messages: list[Any], switch: Mode | None) -> None:
        """The messages' share of `prepare`; they are encoded anew only where one of them changes."""
        changed = None if len(messages) < 2 else self.tidied(messages, mode)
        # A switch that the model knows stays, unless it contradicts the decision.
        if switch is not None and not (self.knows_switches and switch is mode):
            changed = without_switches(messages if changed is None else changed)
        if mode is not None and (self.system or self.prefill):
            changed = list(messages) if changed is None else changed
            if text := self.system.get(mode):
                _say_first(changed, text)
            if (text := self.prefill.get(mode)) and _may_prefill(messages, body):
                changed.append({"role": "assistant", "content": text})
                body["add_generation_prompt"] = _FALSE
                body["continue_final_message"] = _TRUE
        if changed is not None:
            body["messages"] = msgspec.Raw(_encode(changed))

    def reader(self, mode: Mode | None, *, prefilled: bool = True) -> TagReader:
        """A fresh reader of one answer in `mode`; only where `tags` says that there are tags to be read.

        It begins behind what the template has already opened, and behind the verdict that was put in the model's mouth.
        """
        reader = TagReader(GRAMMARS[self.tags])
        reader.feed(self.begins.get(mode, ""))
        if mode is not None and prefilled:
            reader.feed(self.prefill.get(mode, ""))
        return reader


_ZERO = msgspec.Raw(b"0")
_TRUE = msgspec.Raw(b"true")
_FALSE = msgspec.Raw(b"false")


def _by_mode(data: Mapping[str, Mapping[str, Any]]) -> dict[Mode | None, dict[str, Any]]:
    """Fields by mode; those of `always` are in every mode, None (undecided) included."""
    always = data.get("always", {})
    found: dict[Mode | None, dict[str, Any]] = {
        Mode(name): {**always, **fields} for name, fields in data.items() if name != "always"
    }
    if always:
        for mode in (*Mode, None):
            found.setdefault(mode, dict(always))
    return found


def _texts(data: Mapping[str, str]) -> dict[Mode, str]:
    return {Mode(name): str(text) for name, text in data.items()}


def _begins(data: Mapping[str, str]) -> dict[Mode | None, str]:
    always = data.get("always", "")
    own = _texts({name: text for name, text in data.items() if name != "always"})
    return {mode: own.get(mode, always) if mode is not None else always for mode in (*Mode, None)}


def _may_prefill(messages: list[Any], body: Body) -> bool:
    """Not where the client has begun the model's answer itself: there is one last message only."""
    last = messages[-1] if messages else None
    mine = isinstance(last, dict) and last.get("role") == "assistant"
    return not mine and body.get("continue_final_message") != _TRUE


def _say_first(messages: list[Any], text: str) -> None:
    """Put `text` in front of the system prompt; without one it is the system prompt."""
    first = messages[0] if messages else None
    if isinstance(first, dict) and first.get("role") in ("system", "developer"):
        content = first.get("content")
        if isinstance(content, str):
            messages[0] = {**first, "content": f"{text}\n\n{content}"}
            return
        if isinstance(content, list):
            messages[0] = {**first, "content": [{"type": "text", "text": text}, *content]}
            return
    messages.insert(0, {"role": "system", "content": text})


def _drop(body: Body, path: str) -> None:
    name, _, inner = path.partition(".")
    raw = body.get(name)
    if raw is None:
        return
    if not inner:
        del body[name]
        return
    value = _decode(raw)
    if isinstance(value, dict) and inner in value:
        del value[inner]
        if value:
            body[name] = msgspec.Raw(_encode(value))
        else:
            del body[name]


def _merge(body: Body, name: str, value: Any) -> None:
    if isinstance(value, dict) and name in body:
        old = _decode(body[name])
        if isinstance(old, dict):
            value = {**old, **value}
    body[name] = msgspec.Raw(_encode(value))


def load_families(extra: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Family]:
    """The shipped families and the operator's own (`extra` wins on equal names).

    `like` names a family whose keys are taken where the family itself has none. Raises ValueError.
    """
    text = files("router").joinpath("families.yaml").read_text(encoding="utf-8")
    shipped: dict[str, Mapping[str, Any]] = yaml.safe_load(text)
    data = {**shipped, **(extra or {})}
    return {name: Family.from_dict(name, _inherited(name, data, shipped)) for name in data}


def _inherited(
    name: str, data: Mapping[str, Mapping[str, Any]], shipped: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """A family's keys with those of the family that it is `like`; its own name means the shipped one."""
    keys: dict[str, Any] = dict(data[name])
    seen = {name}
    while (parent := keys.pop("like", None)) is not None:
        source = shipped if parent == name else data
        if parent not in source or (parent in seen and parent != name):
            raise ValueError(f"family `{name}` is like `{parent}`, which is no other family")
        seen.add(parent)
        keys = {**source[parent], **keys}
    return keys
