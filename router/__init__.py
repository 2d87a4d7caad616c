"""The pure routing library: conversation, intent, judges, policy, sessions, decision. No I/O beyond its own data."""

from router.conversation import Conversation, read_conversation
from router.decision import Decision, RouteRequest
from router.family import Family, load_families
from router.fields import FieldError, FieldIntent, chat_fields
from router.mode import Mode, Reason
from router.profile import Profile
from router.session import MemorySessions, Sessions, SessionState
from router.switches import last_switch, strip_switches
from router.think_router import ThinkRouter

__all__ = [
    "Conversation",
    "Decision",
    "Family",
    "FieldError",
    "FieldIntent",
    "MemorySessions",
    "Mode",
    "Profile",
    "Reason",
    "RouteRequest",
    "SessionState",
    "Sessions",
    "ThinkRouter",
    "chat_fields",
    "last_switch",
    "load_families",
    "read_conversation",
    "strip_switches",
]
