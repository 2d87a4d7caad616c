"""More backends."""

import pytest

from tests.app.scripted_upstream import ScriptedUpstream


@pytest.fixture
async def others():
    """More backends, for pools with replicas that differ."""
    made = [ScriptedUpstream(), ScriptedUpstream()]
    for upstream in made:
        await upstream.start()
    yield made
    for upstream in made:
        await upstream.stop()
    assert [repr(failure) for upstream in made for failure in upstream.failures] == []
