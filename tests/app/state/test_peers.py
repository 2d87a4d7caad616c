"""Words between controllers: what is heard twice, once, never, or makes no sense."""

import pytest

from app.state.peers import Peers


class Listener:
    def __init__(self, *word):
        self.word, self.heard = word, []

    def tell(self, now_s):
        return self.word

    def hear(self, others, now_s):
        self.heard.append((list(others), now_s))


def told(peers, listener, name="a"):
    ((key, peer, text),) = peers.tell([(name, listener)], 1.0)
    assert peer is listener
    return key, text


def test_each_word_comes_with_the_one_before_it():
    peers, listener = Peers(), Listener(1.5, -2.0)
    key, text = told(peers, listener)
    assert text == "1.5 -2.0"
    peers.hear(key, listener, [b"g1", b"1.0 2.0"], 5.0)
    peers.hear(key, listener, [b"g1", b"3.0 4.0", b"g2", b"1 1"], 6.0)
    peers.hear(key, listener, [], 7.0)
    peers.hear(key, listener, [b"g1", b"3.0 4.0"], 8.0)
    assert listener.heard == [
        ([(None, (1.0, 2.0))], 5.0),
        ([((1.0, 2.0), (3.0, 4.0)), (None, (1.0, 1.0))], 6.0),
        ([], 7.0),
        ([((3.0, 4.0), (3.0, 4.0))], 8.0),
    ]


@pytest.mark.parametrize("text", [b"", b"1", b"1 2 3", b"x y", b"nan 1", b"inf 1", b"\xff 1"])
def test_what_makes_no_sense_is_passed_over(text):
    peers, listener = Peers(), Listener(0.0, 0.0)
    key, _ = told(peers, listener)
    peers.hear(key, listener, [b"g1", text, b"g2", b"1 2"], 5.0)
    assert listener.heard == [([(None, (1.0, 2.0))], 5.0)]


def test_names_tell_nothing_and_are_the_same_everywhere():
    key, _ = told(Peers(), Listener(0.0), "secret profile")
    assert "secret" not in key
    assert key == told(Peers(), Listener(0.0), "secret profile")[0] != told(Peers(), Listener(0.0), "b")[0]


def test_a_controller_that_is_gone_is_forgotten():
    peers, listener = Peers(), Listener(0.0)
    key, _ = told(peers, listener)
    peers.hear(key, listener, [b"g1", b"1"], 5.0)
    told(peers, listener, "b")
    key, _ = told(peers, listener)
    peers.hear(key, listener, [b"g1", b"2"], 6.0)
    assert listener.heard[-1] == ([(None, (2.0,))], 6.0)


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr("app.state.peers.MOST_GATEWAYS", 3)
    peers, listener = Peers(), Listener(0.0)
    key, _ = told(peers, listener)
    for i in range(10):
        peers.hear(key, listener, [b"g%d" % i, b"1"], 5.0)
    assert len(peers._heard[key]) <= 4
