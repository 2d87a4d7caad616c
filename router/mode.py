"""The two modes and the reasons for choosing one. Knows the vocabulary, decides nothing."""

from enum import StrEnum


class Mode(StrEnum):
    """How a request is answered."""

    __hash__ = str.__hash__  # Enum's own is a Python function: ten times slower in every look-up

    INSTRUCT = "instruct"
    THINKING = "thinking"

    @property
    def other(self) -> "Mode":
        return Mode.THINKING if self is Mode.INSTRUCT else Mode.INSTRUCT


class Reason(StrEnum):
    """Why a mode was chosen; a bounded set, fit for a metric label."""

    __hash__ = str.__hash__

    CLIENT_MODEL = "client_model"
    CLIENT_HEADER = "client_header"
    CLIENT_FIELD = "client_field"
    SOFT_SWITCH = "soft_switch"
    PROFILE = "profile"
    SESSION = "session"
    JUDGE = "judge"
    BUDGET = "budget"
    LOAD = "load"
    JUDGE_FAILED = "judge_failed"
    ESCALATED = "escalated"
    FALLBACK = "fallback"
    SELF_JUDGED = "self_judged"
