"""Thinking read out of text by its tags, piece by piece as the text comes. Knows grammars of tags; does no I/O.

A model whose server has no reasoning parser writes `<think>…</think>` into its answer; KAT-V1 writes, before that, its
own judgement (`<judge>…</judge>`) and verdict (`<think_on>` or `<think_off>`), and `<answer>` in front of the answer.
A grammar is a table of states: which tags count in a state, where each leads, and what other text means there. Tags
may be split anywhere between two pieces, closing tags may be missing, and what looks like a tag inside the answer or
inside code is only text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import itemgetter

from router.mode import Mode

JUDGE_CHARS = 2000
"""The judge's words are kept up to this length."""
_SLICE_CHARS = 4096


class Part(StrEnum):
    """What a piece of text is."""

    JUDGE = "judge"
    REASONING = "reasoning"
    CONTENT = "content"


Piece = tuple[Part, str]


@dataclass(frozen=True, slots=True)
class State:
    """`tags` lead to other states. Other text is of kind `part`, or moves on to the state `otherwise`.

    `opening` are tags that count in running text only at the beginning of a line, since prose may name them. `final`
    is a closing tag that counts only at the end of everything, since an answer may quote it.
    """

    tags: Mapping[str, str]
    part: Part | None = None
    otherwise: str = ""
    opening: frozenset[str] = frozenset()
    final: str = ""


Grammar = Mapping[str, State]
_FENCES = ("```", "~~~")
_VERDICTS = {"<think_on>": Mode.THINKING, "<think_off>": Mode.INSTRUCT}
_OPENERS = {"<think>": "reasoning", "<answer>": "answer"}
_VERDICT_TAGS = {"<think_on>": "on", "<think_off>": "off"}
# Closing tags of what is not open: descriptions of the format differ in their order.
_STRAY = ("</judge>", "</think_on>", "</think_off>", "</think>")


def _stray(state: str) -> dict[str, str]:
    return dict.fromkeys(_STRAY, state)


_CONTENT = State({}, Part.CONTENT)
GRAMMARS: Mapping[str, Grammar] = {
    "think": {
        "start": State({"<think>": "reasoning"}, otherwise="content"),
        "reasoning": State({"</think>": "content"}, Part.REASONING),
        "content": _CONTENT,
    },
    "kat-v1": {
        "start": State({"<judge>": "judge", **_VERDICT_TAGS, **_OPENERS}, otherwise="content"),
        "judge": State({"</judge>": "judged", **_VERDICT_TAGS, **_OPENERS}, Part.JUDGE, opening=frozenset(_OPENERS)),
        "judged": State({**_stray("judged"), **_VERDICT_TAGS, **_OPENERS}, otherwise="content"),
        "on": State({**_stray("on"), **_OPENERS}, otherwise="reasoning"),
        "off": State({**_stray("off"), **_OPENERS}, otherwise="content"),
        "reasoning": State(
            {"</think>": "thought", "<answer>": "answer"}, Part.REASONING, opening=frozenset({"<answer>"})
        ),
        "thought": State({**_stray("thought"), "<answer>": "answer"}, otherwise="content"),
        "answer": State({}, Part.CONTENT, final="</answer>"),
        "content": _CONTENT,
    },
}


class TagReader:
    """Feed it text as it comes; it gives back pieces of reasoning and content, without their tags.

    `verdict` is the mode that the model chose in so many words, else None; `judge` its words about it. `decided` is
    True once the verdict, or text that needs none, has been read. `mode` is the verdict, or what the text amounts to.
    """

    __slots__ = ("_at_start", "_bare", "_code", "_grammar", "_held", "_state", "_thinks", "decided", "judge", "verdict")

    def __init__(self, grammar: Grammar, state: str = "start") -> None:
        self._grammar = grammar
        self._state = state
        self._held = ""  # text that may still turn out to be a tag, or blanks that may turn out to be the last ones
        self._at_start = True  # nothing but blanks has been given in this state
        self._code = _Code()
        self._thinks = False
        self._bare = True  # no tag so far
        self.verdict: Mode | None = None
        self.judge = ""
        self.decided = False

    @property
    def mode(self) -> Mode:
        """The mode of the answer, as far as it has been read."""
        if self.verdict is not None:
            return self.verdict
        return Mode.THINKING if self._thinks else Mode.INSTRUCT

    @property
    def holds(self) -> bool:
        """Is text held back that may still be given out?"""
        return bool(self._held)

    def feed(self, text: str) -> list[Piece]:
        """The pieces that `text` completes, in order; neighbours of one kind are joined."""
        pieces: list[Piece] = []
        for start in range(0, len(text), _SLICE_CHARS):  # so that the time is linear, whatever the text holds
            rest = self._held + text[start : start + _SLICE_CHARS]
            self._held = ""
            while rest:
                rest = self._step(rest, pieces, last=False)
        return _joined(pieces)

    def finish(self) -> list[Piece]:
        """What was held back, now that no more text comes. Words of a judge that never came to an end are reasoning."""
        pieces: list[Piece] = []
        rest, self._held = self._held, ""
        while rest:
            rest = self._step(rest, pieces, last=True)
        if self._grammar[self._state].part is Part.JUDGE:
            self._give(Part.REASONING, self.judge, pieces)
        self.decided = True
        return _joined(pieces)

    def _step(self, text: str, pieces: list[Piece], *, last: bool) -> str:
        """Read to the next tag, or as far as can be told; the rest of the text is still to be read."""
        state = self._grammar[self._state]
        if self._at_start:
            bare = text.lstrip()
            if not bare and not (last and self._bare):
                self._held = "" if last else text
                return ""
            if state.part is None:
                return self._expect(state, text, bare, last=last)
            # Blank lines go; what indents the first line stays.
            blank = text[: len(text) - len(bare)]
            text = blank[blank.rfind("\n") + 1 :] + bare if "\n" in blank else bare
        assert state.part is not None  # noqa: S101 - only states that have text are ever left behind their start
        if state.final:
            return self._answer(state, text, pieces, last=last)
        at = -1
        while (at := text.find("<", at + 1)) >= 0:
            tag = _tag_at(text, at, state.tags)
            if tag:
                end = at + len(tag)
                if not self._counts(state, tag, text[:at]):
                    self._give(state.part, text[:end], pieces)
                    return text[end:]
                self._give(state.part, text[:at].rstrip(), pieces)
                self._enter(state.tags[tag], tag)
                return text[end:]
            if tag == "" and not last:  # its end may come yet
                break
        if state.part is Part.CONTENT or last:
            self._give(state.part, text, pieces)
            return ""
        kept = len((text if at < 0 else text[:at]).rstrip())  # blanks before a closing tag are no part of the thought
        self._give(state.part, text[:kept], pieces)
        self._held = text[kept:]
        return ""

    def _expect(self, state: State, text: str, bare: str, *, last: bool) -> str:
        """In a state that has no text of its own: a tag, or on to the state that has."""
        tag = _tag_at(bare, 0, state.tags)
        if tag == "" and not last:
            self._held = text
            return ""
        if tag:
            self._enter(state.tags[tag], tag)
            return bare[len(tag) :]
        self._enter(state.otherwise, "")
        self._at_start = not self._bare  # blanks are trimmed behind tags, and nowhere else
        return text

    def _answer(self, state: State, text: str, pieces: list[Piece], *, last: bool) -> str:
        """An answer: everything but a closing tag that ends it, and the blanks around that."""
        bare = text.rstrip()
        closed = bare.endswith(state.final)
        if closed:
            bare = bare[: -len(state.final)].rstrip()
        elif last:
            bare = text
        elif len(bare) == len(text):
            at = bare.rfind("<", max(0, len(bare) - len(state.final)))
            if at >= 0 and state.final.startswith(bare[at:]):
                bare = bare[:at].rstrip()
        self._give(Part.CONTENT, bare, pieces)
        self._held = "" if last else text[len(bare) :]
        return ""

    def _counts(self, state: State, tag: str, before: str) -> bool:
        """Is the tag behind `before` a tag, and not a word about one?"""
        place = self._code.after(before)
        if not place.head:
            return not (place.fenced and tag in state.opening)
        return tag not in state.opening and not place.fenced and not place.inline

    def _enter(self, state: str, tag: str) -> None:
        self._state = state
        self._at_start = True
        self._code = _Code()
        self._bare = self._bare and not tag
        if tag in _VERDICTS:
            self.verdict = _VERDICTS[tag]
        if state == "reasoning":
            self._thinks = True
        if self.verdict is not None or self._grammar[state].part in (Part.REASONING, Part.CONTENT):
            self.decided = True

    def _give(self, part: Part, text: str, pieces: list[Piece]) -> None:
        if not text:
            return
        self._at_start = False
        self._code = self._code.after(text)
        if part is Part.JUDGE:
            self.judge = (self.judge + text)[:JUDGE_CHARS]
        else:
            pieces.append((part, text))


@dataclass(frozen=True, slots=True)
class _Code:
    """Where in Markdown a text stands: in a `fenced` block, in `inline` code, and how its line begins (`head`)."""

    fenced: bool = False
    inline: bool = False
    head: str = ""

    def after(self, text: str) -> "_Code":
        """The place behind `text`."""
        fenced, inline, head = self.fenced, self.inline, self.head
        for i, line in enumerate(text.split("\n")):
            if i:
                if head in _FENCES:
                    fenced = not fenced
                inline, head = False, ""
            if len(head) < 3:
                head += line[:256].lstrip()[: 3 - len(head)] if not head else line[: 3 - len(head)]
            inline ^= bool(line.count("`") & 1)
        return _Code(fenced, inline, head)


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of one kind as one piece."""
    if len(pieces) < 2:
        return pieces
    return [(part, "".join(text for _, text in group)) for part, group in groupby(pieces, key=itemgetter(0))]


def _tag_at(text: str, at: int, tags: Mapping[str, str]) -> str | None:
    """The tag that begins at `at`; "" where the text ends before it can be told; None where none does."""
    rest = text[at : at + 16]
    for tag in tags:
        if rest.startswith(tag):
            return tag
        if len(rest) < len(tag) and at + len(rest) == len(text) and tag.startswith(rest):
            return ""
    return None
