"""A policy's defaults are promises of the configuration page."""

import dataclasses

import pytest

from router.profile import Profile


def test_a_profile_by_default_forces_nothing_and_judges_at_one_half():
    profile = Profile()
    assert (profile.name, profile.threshold, profile.mode, profile.fallback) == ("default", 0.5, None, True)
    assert (profile.metadata, profile.reasoning) == ("both", "both")
    assert not profile.effort_modes


def test_a_profile_cannot_be_changed_while_requests_use_it():
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        Profile().threshold = 0.1  # type: ignore[misc]
