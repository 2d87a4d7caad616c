"""What controllers of policies tell their like in other gateways, as text. Knows words; knows no law and no server."""

from collections.abc import Hashable, Iterable, Sequence
from math import isfinite

from app.state.stable import digest
from router.policies.peers import Peer, Word

MOST_GATEWAYS = 1000


class Peers:
    """Remembers what it has heard last, by controller and gateway."""

    def __init__(self) -> None:
        self._heard: dict[str, dict[bytes, Word]] = {}

    def tell(self, controllers: Iterable[tuple[Hashable, Peer]], now_s: float) -> list[tuple[str, Peer, str]]:
        """The name, the controller itself and its word, of each."""
        words = [(f"word:{digest(name).hex()}", peer, _text(peer.tell(now_s))) for name, peer in controllers]
        self._heard = {name: self._heard.get(name, {}) for name, _, _ in words}
        return words

    def hear(self, name: str, peer: Peer, answer: Sequence[bytes], now_s: float) -> None:
        """The other gateways' words: each gateway's name and its word, in turns. One that makes no sense is passed
        over."""
        heard, like = self._heard[name], len(peer.tell(now_s))
        words = {
            gateway: word
            for gateway, text in zip(answer[::2], answer[1::2], strict=True)
            if (word := _word(text, like)) is not None
        }
        peer.hear([(heard.get(gateway), word) for gateway, word in words.items()], now_s)
        if len(heard) > MOST_GATEWAYS:  # most of them are gone
            heard.clear()
        heard.update(words)


def _text(word: Word) -> str:
    return " ".join(repr(float(number)) for number in word)


def _word(text: bytes, like: int) -> Word | None:
    try:
        word = tuple(map(float, text.split()))
    except ValueError:
        return None
    return word if len(word) == like and all(map(isfinite, word)) else None
