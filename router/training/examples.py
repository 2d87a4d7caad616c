"""One training or evaluation example, and how its target follows from labels and outcomes. Reads no files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zlib import crc32

from router.conversation import Conversation, read_conversation

THINK: Final = "think"
NO_THINK: Final = "no_think"
PUZZLE_FOLDS: Final = 8
"""Collections of puzzle tasks are left out task by task, an eighth of the tasks at a time."""


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation with what is known about whether thinking helps it.

    `target` is the soft P(thinking helps) to learn, `weight` how much it counts; `label` the weak label (1, 0 or None)
    that AUROC is measured on. `p_instruct` and `p_thinking` are mean correctness in [0, 1] where outcomes are known,
    `instruct_tokens` and `thinking_tokens` mean answer lengths.
    """

    id: str
    source: str
    lang: str
    domain: str
    conversation: Conversation
    target: float
    weight: float
    label: int | None
    outcome_label: int | None = None
    p_instruct: float | None = None
    p_thinking: float | None = None
    instruct_tokens: float | None = None
    thinking_tokens: float | None = None
    license: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def gain(self) -> float | None:
        """p_thinking − p_instruct where both are known."""
        if self.p_instruct is None or self.p_thinking is None:
            return None
        return self.p_thinking - self.p_instruct

    @property
    def goal(self) -> float:
        """The target to fit: raised half-way to 1 in domains whose questions are hard as a class.

        Which single puzzle or competition problem an instruct model happens to miss can hardly be seen in its text, but
        that it is one can; fitted on single outcomes, half of them easy, the domain itself would look easy. Calibration
        uses `target`, which is not raised.
        """
        hard_domain = self.domain.startswith("puzzle/") or (self.domain == "math/competition" and self.label == 1)
        return min(0.95, 0.5 + 0.5 * self.target) if hard_domain else self.target

    @property
    def truth(self) -> float:
        """What a calibrated score is held to: the label where there is one, else the target."""
        return self.target if self.hard is None else float(self.hard)

    @property
    def hard(self) -> int | None:
        """The weak label, or else the outcome label: what hard-versus-easy rankings are measured on."""
        return self.label if self.label is not None else self.outcome_label


# Rows without a label still say something: their domain's usual difficulty for today's instruct models, at low weight.
_DOMAIN_TARGETS: Final[Mapping[str, float]] = {
    "math/grade_school": 0.15,
    "math/competition": 0.6,
    "exam": 0.35,
    "chat": 0.08,
    "chat_zh": 0.08,
    "nlp": 0.08,
    "assistant": 0.03,
    "code/easy": 0.35,
    "tools": 0.12,
}
_SOFT: Final = {THINK: 0.93, NO_THINK: 0.05}


def read_example(row: Mapping[str, Any]) -> Example | None:
    """The example in a row of a data file, or None where the row holds no text."""
    messages = row.get("messages") or [{"role": "user", "content": row.get("prompt") or ""}]
    conversation = read_conversation(
        messages, tools=int(row.get("tools") or 0), response_format=str(row.get("response_format") or "")
    )
    if not conversation.ask:
        return None
    label = _label(row.get("weak_label"))
    outcome_label = _label(row.get("outcome_label"))
    p_instruct, p_thinking = row.get("p_instruct"), row.get("p_thinking")
    target, weight = _target(str(row.get("domain") or ""), label, outcome_label, p_instruct, p_thinking)
    instruct_tokens, thinking_tokens = _tokens(row.get("outcome_all"))
    return Example(
        id=str(row.get("id", "")),
        source=str(row.get("source", "")),
        lang=str(row.get("lang") or "en"),
        domain=str(row.get("domain") or ""),
        conversation=conversation,
        target=target,
        weight=weight,
        label=label,
        outcome_label=outcome_label,
        p_instruct=p_instruct,
        p_thinking=p_thinking,
        instruct_tokens=instruct_tokens,
        thinking_tokens=thinking_tokens,
        license=str(row.get("license") or ""),
        facts=_facts(row),
    )


def _facts(row: Mapping[str, Any]) -> dict[str, str]:
    """The task of a puzzle collection, a fold that holds whole tasks, and the level where the source states one."""
    facts = {"level": str(row["difficulty"])} if row.get("difficulty") is not None else {}
    domain = str(row.get("domain") or "")
    if domain.startswith("puzzle/"):
        task = str(row.get("dataset") or domain)
        facts |= {"task": task, "fold": f"{row.get('source')}/{crc32(task.encode()) % PUZZLE_FOLDS}"}
    return facts


def _label(value: object) -> int | None:
    return {THINK: 1, NO_THINK: 0}.get(value) if isinstance(value, str) else None


def _target(
    domain: str, label: int | None, outcome_label: int | None, p_instruct: float | None, p_thinking: float | None
) -> tuple[float, float]:
    """(target, weight): outcomes and weak labels weigh alike where both exist, a bare domain a fifth."""
    votes: list[tuple[float, float]] = []
    if label is not None:
        votes.append((_SOFT[THINK if label else NO_THINK], 1.0))
    if p_instruct is not None and p_thinking is not None:
        gain = p_thinking - p_instruct
        votes.append((min(0.95, max(0.05, 0.1 + 1.3 * gain)), 1.0 if outcome_label is not None else 0.4))
    elif p_instruct is not None:
        votes.append((min(0.85, max(0.08, 0.75 - 0.7 * p_instruct)), 0.35))
    if not votes:
        prior = _DOMAIN_TARGETS.get(domain, _DOMAIN_TARGETS.get(domain.split("/")[0], 0.25))
        return prior, 0.2
    total = sum(weight for _, weight in votes)
    return sum(target * weight for target, weight in votes) / total, min(1.0, total)


def _tokens(outcomes: object) -> tuple[float | None, float | None]:
    """Mean answer tokens of the instruct and the thinking models in an `outcome_all` field."""
    found: dict[str, list[float]] = {"i": [], "t": []}
    if isinstance(outcomes, Mapping):
        for kind, _, tokens in outcomes.values():
            if tokens is not None and kind in found:
                found[kind].append(float(tokens))
    mean = {kind: sum(values) / len(values) if values else None for kind, values in found.items()}
    return mean["i"], mean["t"]
