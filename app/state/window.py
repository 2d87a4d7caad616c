"""How much all gateways have used in the last minute or hour, as far as is known. Knows counts and time; no server.

A window whose spans begin when the server's clock says so, in every gateway alike. What others have used is known from
the last exchange; what was used here since is added to it. Where the server cannot be reached the window goes on by
itself, and what others had used moves out of it in time.
"""

from app.limits.window import Window


class SharedWindow(Window):
    """`mine` and `mine_before` are this gateway's own parts of the two spans."""

    __slots__ = ("mine", "mine_before", "sent", "span")

    def __init__(self, limit: int, span_s: float) -> None:
        super().__init__(limit, span_s)
        self.span = 0
        """The span's number since 1970 by the server's clock; 0 before the first exchange."""
        self.mine = 0.0
        self.mine_before = 0.0
        self.sent = -1.0
        """`mine` as the server has it."""

    @property
    def span_s(self) -> float:
        """How long a span is."""
        return self._span_s

    def add(self, amount: float, now_s: float) -> None:
        """So much has been used here."""
        super().add(amount, now_s)
        self.mine += amount

    def told(self, span: int, past_s: float, others: float, others_before: float, now_s: float) -> None:
        """The server's word: `past_s` seconds of the span with that number are over, and so much did others use."""
        self.used(now_s)  # turns over what is over
        ahead = span - self.span
        if self.span and ahead == -1 and now_s - self._start_s + self._span_s - past_s < self._span_s / 2:
            return  # this gateway has turned already, the server not yet: next time. Further back is a clock set back
        if self.span and ahead > 0:
            self.mine_before = self.mine if ahead == 1 else 0.0
            self.mine = 0.0
        self.span = span
        self._start_s = now_s - past_s
        self._now = others + self.mine
        self._before = others_before + self.mine_before

    def _turn(self, now_s: float) -> None:
        start_s = self._start_s
        spans = int((now_s - start_s) / self._span_s)
        super()._turn(now_s)
        self.mine_before = self.mine if spans == 1 else 0.0
        self.mine = 0.0
        if self.span:
            self.span += spans
            self._start_s = start_s + spans * self._span_s  # the spans of all gateways begin together
