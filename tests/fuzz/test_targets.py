"""Every target over its seeds, and over a few hundred of their mutations; `make fuzz` goes on for minutes."""

import random
import re

import pytest

from tests.fuzz.seeds import ROOT, SEEDS
from tests.fuzz.targets import TARGETS

MUTATIONS = 300


def mutated(seed: bytes, rng: random.Random) -> bytes:
    """The seed with a few bytes changed, cut out, doubled, or moved."""
    data = bytearray(seed)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 8, 64)))
        what = rng.randrange(5)
        if what == 0:
            data[at:at] = rng.choice(
                (b"\r\n", b"\n\n", b"\n", b"\x00", b'"', b"\\", b"{", b"[DONE]", b"data: ", b"\xff")
            )
        elif what == 1:
            del data[at:end]
        elif what == 2:
            data[at:at] = data[at:end]
        elif what == 3 and at < len(data):
            data[at] = rng.randrange(256)
        else:
            cut = bytes(data[at:end])
            del data[at:end]
            to = rng.randrange(len(data) + 1)
            data[to:to] = cut
    return bytes(data)


def test_every_target_has_seeds():
    assert SEEDS.keys() == TARGETS.keys()
    assert all(make() for make in SEEDS.values())


def test_make_fuzz_runs_every_target():
    (line,) = re.findall(r"^FUZZED := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert sorted(line.split()) == sorted(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_stands_its_seeds_and_what_is_made_of_them(name):
    rng = random.Random(name)
    seeds = SEEDS[name]()
    for seed in seeds:
        TARGETS[name](seed)
    for _ in range(MUTATIONS):
        data = mutated(rng.choice(seeds), rng)
        try:
            TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"{name}: {data!r}") from error
