"""Model families as data: how a backend is told to think or not, and what a request must lose or gain on the way there.

Knows request fields; knows nothing about HTTP. A body is a mapping from field name to raw JSON (`msgspec.Raw`), so that
whatever is not touched here reaches the backend byte for byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

import msgspec
import yaml

from router.mode import Mode
from router.switches import without_switches

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
Body = dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Family:
    """One family; see families.yaml for the meaning of each field. Sampling values are raw JSON by mode and field."""

    name: str
    kind: Literal["pair", "hybrid"]
    knows_switches: bool = False
    send: Mapping[Mode, Mapping[str, Any]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    drop_instruct: tuple[str, ...] = ()
    drop_names: frozenset[str] = frozenset()
    sampling: Mapping[Mode, Mapping[str, msgspec.Raw]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, name: str, data: Mapping[str, Any]) -> "Family":
        """Build a family from its YAML mapping; unknown keys raise ValueError."""
        known = {"kind", "switches", "send", "drop", "drop_instruct", "sampling"}
        if unknown := set(data) - known:
            raise ValueError(f"family `{name}` has unknown keys: {', '.join(sorted(unknown))}")
        if data.get("kind") not in ("pair", "hybrid"):
            raise ValueError(f"family `{name}`: kind must be pair or hybrid")
        return cls(
            name=name,
            kind=data["kind"],
            knows_switches=data.get("switches", "unknown") == "known",
            send={Mode(mode): fields for mode, fields in data.get("send", {}).items()},
            drop=tuple(data.get("drop", ())),
            drop_instruct=tuple(data.get("drop_instruct", ())),
            drop_names=frozenset(
                path.partition(".")[0] for key in ("drop", "drop_instruct") for path in data.get(key, ())
            ),
            sampling={
                Mode(mode): {key: msgspec.Raw(_encode(value)) for key, value in fields.items()}
                for mode, fields in data.get("sampling", {}).items()
            },
        )

    def prepare(self, body: Body, mode: Mode, *, messages: list[Any] | None, switch: Mode | None) -> None:
        """Rewrite `body` in place for a backend of this family in `mode`.

        `messages` are the decoded messages and `switch` the soft switch found in them (None: nothing to strip).
        """
        if not self.drop_names.isdisjoint(body):  # most requests say nothing of thinking
            for path in self.drop:
                _drop(body, path)
            if mode is Mode.INSTRUCT:
                for path in self.drop_instruct:
                    _drop(body, path)
        if mode is Mode.THINKING and body.get("thinking_token_budget") == _ZERO:
            # A budget of nothing contradicts the decision that was made above it in the ladder.
            del body["thinking_token_budget"]
        for name, value in self.send.get(mode, {}).items():
            _merge(body, name, value)
        for name, raw in self.sampling.get(mode, {}).items():
            if name not in body:
                body[name] = raw
        # A switch that the model knows stays, unless it contradicts the decision.
        if messages is not None and switch is not None and not (self.knows_switches and switch is mode):
            body["messages"] = msgspec.Raw(_encode(without_switches(messages)))


_ZERO = msgspec.Raw(b"0")


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
    """The shipped families and the operator's own (`extra` wins on equal names)."""
    text = files("router").joinpath("families.yaml").read_text(encoding="utf-8")
    data: dict[str, Mapping[str, Any]] = {**yaml.safe_load(text), **(extra or {})}
    return {name: Family.from_dict(name, value) for name, value in data.items()}
