"""Places in a pool: who gets one, who waits, who is turned away."""

import asyncio

import pytest

from app.errors import PoolFull
from app.pools.places import Places


class Entrant:
    def __init__(self, tenant: str = "a") -> None:
        self.tenant = tenant
        self.fate = ""

    def admitted(self) -> None:
        self.fate += "in "

    def turned_away(self, error: PoolFull) -> None:
        self.fate += "away "


async def test_there_are_so_many_places_and_then_one_waits():
    places = Places("p", lambda: 2, 10)
    entrants = [Entrant() for _ in range(4)]
    assert [places.enter(e) for e in entrants] == [True, True, False, False]
    assert places.waiting == 2
    places.leave()
    await asyncio.sleep(0)
    assert [e.fate for e in entrants] == ["", "", "in ", ""]
    assert (places.in_use, places.waiting) == (2, 1)


async def test_half_of_the_queue_is_not_for_guests_of_another_pool():
    places = Places("p", lambda: 1, 4)
    assert places.enter(Entrant(), guest=True), "a free place is anybody's"
    assert not places.enter(Entrant(), guest=True)
    assert not places.enter(Entrant(), guest=True)
    with pytest.raises(PoolFull):
        places.enter(Entrant(), guest=True)
    assert [places.enter(Entrant()) for _ in range(2)] == [False, False]
    assert places.waiting == 4


async def test_who_does_not_wait_gets_a_free_place_or_none():
    places = Places("p", lambda: 1, 4)
    assert places.take()
    assert not places.take()
    places.enter(waits := Entrant())
    places.leave()
    assert not places.take(), "it is for the one who has waited"
    await asyncio.sleep(0)
    assert waits.fate == "in "


async def test_a_full_queue_turns_away_with_a_time_to_come_back():
    places = Places("p", lambda: 1, 1)
    assert places.enter(Entrant())
    assert not places.enter(Entrant())
    with pytest.raises(PoolFull) as caught:
        places.enter(Entrant())
    assert (caught.value.status, caught.value.retry_after_s) == (503, 1)
    assert places.waiting == 1


async def test_a_small_tenant_takes_the_place_of_a_flood():
    places = Places("p", lambda: 1, 3)
    places.enter(Entrant())
    flood = [Entrant() for _ in range(3)]
    for entrant in flood:
        places.enter(entrant)
    assert not places.enter(small := Entrant("b"))
    await asyncio.sleep(0)
    assert [e.fate for e in flood] == ["", "", "away "]
    places.leave()
    places.leave()
    await asyncio.sleep(0)
    assert small.fate == "in "


async def test_nobody_overtakes_those_who_wait():
    places = Places("p", lambda: 1, 3)
    places.enter(Entrant())
    waiting = Entrant()
    places.enter(waiting)
    places.leave()
    assert not places.enter(Entrant()), "the place that has become free is taken already"
    assert places.in_use == 1


async def test_who_waited_and_left_leaves_no_trace():
    places = Places("p", lambda: 1, 3)
    places.enter(Entrant())
    leaving, staying = Entrant(), Entrant()
    places.enter(leaving)
    places.enter(staying)
    assert places.give_up(leaving)
    places.leave()
    await asyncio.sleep(0)
    assert (leaving.fate, staying.fate) == ("", "in ")
    assert not places.give_up(staying), "it has a place already, and has to leave it"


async def test_more_places_let_more_in():
    capacity = 0
    places = Places("p", lambda: capacity, 3)
    entrants = [Entrant() for _ in range(3)]
    assert not any(places.enter(e) for e in entrants)
    capacity = 2
    places.fill()
    await asyncio.sleep(0)
    assert [e.fate for e in entrants] == ["in ", "in ", ""]
    places.resize(lambda: 3, 5)
    await asyncio.sleep(0)
    assert entrants[2].fate == "in "
