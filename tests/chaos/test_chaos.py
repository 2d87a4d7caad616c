"""A few seconds of chaos with every run of the tests; `python -m tests.chaos.run` does it for minutes."""

import pytest

from tests.chaos.run import Plan, run


@pytest.mark.parametrize("fault", ["kill", "freeze"])
@pytest.mark.timeout(300)
async def test_nothing_is_lost_that_had_no_byte_of_its_answer_yet(fault):
    plan = Plan(seconds=8, streams=10, rate=20, every_s=2, fault=fault, chunks=20, freeze_s=6)
    figures = await run(plan)
    assert figures["bad"] == 0, figures["examples"]
    assert figures["faults"] >= 1
    assert figures["requests"]["ok"] > 50
    assert figures["streams"]["ok"] > 10
    assert figures["in_flight_after"] == 0
    assert figures["after"]["descriptors"] <= figures["before"]["descriptors"]
    assert figures["internal_errors"] == 0
    assert figures["exit_status"] == 0
