"""Does the chaos run see growth where there is some, and none where there is none?"""

import random

import pytest

from tests.chaos.growth import Growth


def watched(rss, descriptors, seconds=180):
    values = iter(zip(rss(seconds), descriptors(seconds), strict=True))
    growth = Growth(lambda: dict(zip(("rss_kib", "descriptors"), next(values), strict=True)))
    for second in range(seconds):
        growth.sample(float(second))
    return growth


def steady(level, spread):
    rng = random.Random(1)
    return lambda seconds: [level + rng.randrange(-spread, spread + 1) for _ in range(seconds)]


def test_what_only_warms_up_does_not_grow():
    def warms_up(seconds):
        return [60_000 + min(25_000, 1_000 * second) for second in range(seconds)]

    assert watched(warms_up, steady(420, 20)).grows() == []


@pytest.mark.parametrize(
    ("rss", "descriptors", "grown"),
    [
        (lambda seconds: [80_000 + 20 * second for second in range(seconds)], steady(420, 20), "memory: 1200 KiB"),
        (steady(90_000, 900), lambda seconds: [400 + 3 * second for second in range(seconds)], "descriptors: "),
    ],
)
def test_a_leak_is_told(rss, descriptors, grown):
    (told,) = watched(rss, descriptors).grows()
    assert told.startswith(grown)


def test_a_short_run_tells_nothing_and_still_has_figures():
    growth = watched(lambda seconds: [80_000 + 2_000 * second for second in range(seconds)], steady(9, 1), seconds=20)
    assert growth.grows() == []
    assert growth.figures()["rss_kib"][0] == 80_000
