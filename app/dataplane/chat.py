"""POST /v1/chat/completions on its way. Knows which parts make up the protocol; the parts know the rest."""

from collections.abc import Callable
from time import monotonic

from msgspec.structs import replace

from app.dataplane.chat_answer import edit_answer
from app.dataplane.chat_request import ChatRequest
from app.dataplane.chat_stream import ChatStream
from app.dataplane.draft import DraftStream, watched
from app.dataplane.event_stream import Relay
from app.dataplane.plan import Plan
from app.dataplane.rescue import Rescue
from app.dataplane.routed import RoutedExchange
from app.dataplane.routed_endpoint import RoutedEndpoint
from app.dataplane.second_answer import End, may_be_rescued
from app.dataplane.self_judged import routing_of, special_stream, untagged
from app.dataplane.services import Services
from app.dataplane.special import asks_logprobs
from app.dataplane.unanswered import UnansweredStream, unanswered, with_answer
from app.dataplane.whole_answer import WholeAnswer
from app.errors import GatewayError
from router.policies.escalation import DraftWatch, Escalation
from router.tags import TagReader


class ChatExchange(RoutedExchange):
    """A chat completion's way."""

    api = "chat"
    path = "/v1/chat/completions"

    def open_stream(self, routing: bytes) -> Relay:
        """The stream's reader and writer."""
        plan = self.plan
        if plan.special is not None:
            stream = special_stream(plan, plan.special, self._self_judged)
            return stream if plan.special.draft is None else self._draft_stream(stream, plan.special.draft)
        return ChatStream(
            routing=routing,
            reasoning=plan.profile.reasoning,
            show_usage=plan.request.wants_usage,
            choices=plan.request.choices,
        )

    def special_answer(self, raw: bytes) -> bytes | None:
        """Its tags read, if it has any; None where thinking has left no room for an answer, and one is being got."""
        assert self.plan.special is not None  # noqa: S101 - the caller has looked
        raw = untagged(raw, self.plan.special, self._self_judged)
        if self.plan.special.draft is not None:
            return self._watch_whole(raw, self.plan.special.draft)
        thought = unanswered(raw) if may_be_rescued(self.plan) else ""
        if not thought:
            return raw
        # The connection serves others meanwhile: what it said of this answer is read now.
        status, lines, said = self.connection.status, self.lines(), list[str]()

        def done(end: End | None) -> None:
            self._count_rescue(end)
            whole = raw if end is None else with_answer(raw, "".join(said), end.finish_reason, end.tokens)
            self.give(whole, status, lines)

        self._rescue(thought, said.append, done)
        return None

    # ------------------------------------------------------------------ drafts

    def _draft_stream(self, inner: ChatStream, draft: Escalation) -> Relay:
        """A stream that is held back at first."""

        def began() -> None:
            self.client.loop.call_later(draft.time_s, self._draft_is_late, stream)

        def decided(kept: bool) -> None:
            self._draft_decided(watch, kept)

        watch = DraftWatch(draft)
        hides = not asks_logprobs(self.plan.request.fields)
        stream = DraftStream(inner, watch, hides=hides, began=began, decided=decided)
        return stream

    def _draft_is_late(self, stream: DraftStream) -> None:
        """The time for holding it back is over."""
        if self._stream is stream and stream.holds and self._holds and not self.over:
            stream.late = True
            self.body(b"")

    def _watch_whole(self, raw: bytes, draft: Escalation) -> bytes | None:
        """An answer in one piece, or None where thinking answers instead."""
        watch = DraftWatch(draft)
        raw = watched(raw, watch, hides=not asks_logprobs(self.plan.request.fields))
        kept = watch.verdict(True) is True
        self._draft_decided(watch, kept)
        return raw if kept else None

    def _draft_decided(self, watch: DraftWatch, kept: bool) -> None:
        """Count the draft; where it is dropped, let thinking answer. The client has not got a byte of it."""
        services, tokens = self.services, watch.tokens
        services.meters.draft_tokens("kept" if kept else "dropped").inc(tokens)
        if tokens:
            services.meters.draft_surprise.observe(-watch.mean)
        if kept:
            return
        if self._holds:
            self.connection.abort()
            self.release()
        services.meters.escalations("low_logprob").inc()
        now_s = monotonic()
        if self.ledger is not None:
            self.ledger.use(tokens, 0, now_s)
        self.plan = services.planner.escalate(self.plan, tokens, watch.mean)
        if self.plan.controls is not None:
            self._taken = self.plan.controls.thinking_began(now_s)
        self._stream = None
        self._tried = []
        self._attempts = 0
        self.dispatch()

    def retry(self, error: GatewayError) -> None:
        """As any, but for a backend that tells no log-probabilities: then the draft is not watched."""
        special = self.plan.special
        watches = special is not None and special.draft is not None
        if watches and error.status == 400 and "logprob" in str(error) and not asks_logprobs(self.plan.request.fields):
            self.plan = self.services.planner.without_draft(self.plan)
            self._tried = []
            self.dispatch()
        else:
            super().retry(error)

    # ------------------------------------------------------------------ second answers

    def goes_on(self, stream: Relay) -> bool:
        """Has thinking left no room for an answer? Then one is being got, and will be in the same stream."""
        if not isinstance(stream, UnansweredStream) or not stream.unanswered:
            return False

        def say(text: str) -> None:
            if chunk := stream.say(text):
                self.first_answer_s = self.first_answer_s or monotonic()
                self.client.write(chunk)

        def done(end: End | None) -> None:
            self._count_rescue(end)
            stream.reroute(routing_of(self.plan))
            self.client.end(stream.close(None, 0) if end is None else stream.close(end.finish_reason, end.tokens))
            self.end_stream(stream)

        self._rescue(stream.thought, say, done)
        return True

    def _rescue(self, thought: str, say: Callable[[str], None], done: Callable[[End | None], None]) -> None:
        rescuer = self.services.planner.rescuer
        assert rescuer is not None  # noqa: S101 - the composition has set it
        Rescue(self, rescuer.answer(self.plan, self.replica, thought), say, done, self._last_s - monotonic())

    def _count_rescue(self, end: End | None) -> None:
        how = "failed" if end is None else end.how
        self.services.meters.rescues(how).inc()
        self.plan = replace(self.plan, routing=replace(self.plan.routing, rescue=how))

    def _self_judged(self, reader: TagReader) -> Plan:
        """The model has judged itself: from here on that is the decision."""
        self.plan = self.services.planner.self_judged(self.plan, reader)
        decision = self.plan.routing.decision
        meters = self.services.meters
        meters.decided(decision.mode, decision.reason, decision.judge, decision.profile).decisions.value += 1
        return self.plan

    def read_whole(self, raw: bytes, routing: bytes) -> WholeAnswer:
        """An answer in one piece."""
        return edit_answer(raw, routing=routing, reasoning=self.plan.profile.reasoning)


def chat(services: Services) -> RoutedEndpoint:
    """The endpoint."""
    return RoutedEndpoint(services, ChatRequest.parse, ChatExchange)
