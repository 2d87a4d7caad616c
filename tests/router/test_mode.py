"""The vocabulary that clients and dashboards see."""

from router.mode import Mode, Reason


def test_modes_are_the_two_words_of_the_contract():
    assert [str(mode) for mode in Mode] == ["instruct", "thinking"]


def test_each_mode_is_the_other_ones_other():
    assert Mode.INSTRUCT.other is Mode.THINKING
    assert Mode.THINKING.other is Mode.INSTRUCT


def test_reasons_are_a_bounded_set():
    assert {str(reason) for reason in Reason} == {
        *("client_model", "client_header", "client_field", "soft_switch", "profile", "session", "judge", "budget"),
        *("load", "judge_failed", "escalated", "fallback", "self_judged"),
    }
