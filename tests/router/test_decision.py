"""Decisions and requests are values."""

import pytest

from router.conversation import Conversation
from router.decision import Decision, RouteRequest
from router.fields import NO_FIELDS
from router.mode import Mode, Reason
from router.profile import Profile


def test_a_request_that_says_nothing_has_no_word_in_it():
    request = RouteRequest(profile=Profile(), conversation=Conversation(ask="x"))
    assert (request.model_mode, request.header, request.switch, request.session) == (None, None, None, "")
    assert request.fields is NO_FIELDS


def test_decisions_compare_by_value_and_cannot_be_changed():
    one = Decision(Mode.THINKING, Reason.JUDGE, "", "default", 0.9, 0.5)
    assert one == Decision(Mode.THINKING, Reason.JUDGE, "", "default", 0.9, 0.5)
    with pytest.raises(AttributeError):
        one.mode = Mode.INSTRUCT
