"""From a parsed request to a plan: decision, target, and the backend's body. Knows settings; does no I/O."""

import asyncio
import random
import time
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from app.dataplane.chat_request import ChatRequest
from app.errors import BadRequest, ModelNotFound
from app.judging.pending import Pending
from app.metadata import Routing
from app.pools.pool import Pool
from app.settings import Route, Settings
from router.conversation import Conversation, read_conversation
from router.decision import Decision, RouteRequest
from router.family import Body, Family, load_families
from router.mode import Mode, Reason
from router.profile import Profile
from router.switches import last_switch
from router.think_router import ThinkRouter

if TYPE_CHECKING:
    from app.judging.backend_judge import BackendJudge

_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")
_WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')
SESSION_HEADERS = (b"x-session-id", b"x-session-affinity", b"session-id")
# A client's own word is never turned round behind its back: where it chose the mode, no other mode answers.
_CLIENT_REASONS = frozenset({Reason.CLIENT_MODEL, Reason.CLIENT_HEADER, Reason.CLIENT_FIELD, Reason.SOFT_SWITCH})


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the tenant, and the profiles that its key may choose by header (`*`: any)."""

    tenant: str = "default"
    profiles: tuple[str, ...] = ("*",)


class Plan(msgspec.Struct, frozen=True):
    """What will be done. `judge_s` is the time the judge took, 0.0 where none was asked."""

    request: ChatRequest
    profile: Profile
    routing: Routing
    pool: Pool
    body: bytes
    adds_usage: bool
    judge_s: float
    conversation: Conversation
    route: Route | None
    switch: Mode | None

    @property
    def may_fall_back(self) -> bool:
        """May the other mode answer where the pool cannot?"""
        return (
            self.route is not None
            and not self.route.pool
            and self.profile.fallback
            and self.profile.mode is None
            and self.routing.reason not in _CLIENT_REASONS
        )


class Planner:
    """Turns requests into plans, by the settings and the router."""

    def __init__(self, settings: Settings, router: ThinkRouter, pools: Mapping[str, Pool]) -> None:
        self._router = router
        self._judge_timeout_s = (settings.judge.timeout_ms or 1000.0) / 1e3
        self.backend_judge: BackendJudge | None = None
        """Set by the composition where the judge asks a backend."""
        self._pools = dict(pools)
        self._profiles = {name: p.to_profile(name) for name, p in settings.profiles.items()}
        self._profiles.setdefault("default", Profile())
        self._families = load_families(settings.families)
        self._routes = dict(settings.routes)
        self._by_model = {pool.model: pool for pool in pools.values()}
        # alias, or alias-instruct / alias-thinking -> the route and the mode that the name forces
        self._names: dict[str, tuple[Route, Mode | None]] = {
            alias: (route, None) for alias, route in settings.routes.items()
        }
        for alias, route in settings.routes.items():
            for mode in Mode:  # a route of that very name goes first
                self._names.setdefault(f"{alias}-{mode.value}", (route, mode))

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """All profiles by name."""
        return self._profiles

    def model_names(self) -> list[str]:
        """Every name that `model` may hold: aliases with their mode aliases, then the pools' models."""
        return [*self._names, *self._by_model]

    def plan(
        self, request: ChatRequest, headers: Mapping[bytes, bytes], caller: Caller, *, explain: bool = False
    ) -> Plan | Pending:
        """Decide, choose the pool and write the backend's body. Pending where the judge has to ask a backend first.

        Raises ModelNotFound or BadRequest.
        """
        named = self._names.get(request.model)
        if named is None:
            pool = self._by_model.get(request.model)
            if pool is None:
                raise ModelNotFound(
                    f"The model `{request.model[:200]}` does not exist. Known are: {', '.join(self.model_names())}.",
                    param="model",
                )
            return self._direct(request, pool)
        route, model_mode = named
        switch = last_switch(request.messages) if request.may_switch else None
        conversation = read_conversation(request.messages, tools=request.tools, response_format=request.response_format)
        profile = self._profile(route, headers, caller)
        ask = RouteRequest(
            profile=profile,
            conversation=conversation,
            model_mode=model_mode,
            header=_header_mode(headers),
            fields=request.intent,
            switch=switch,
            session=_session_key(request, headers, caller.tenant),
            dry=explain,
        )
        decision = self._router.settle(ask)
        judge_s = 0.0
        if decision is None:
            if self.backend_judge is not None:
                return Pending(request, route, ask, switch)
            started = time.perf_counter()
            decision = self._router.judge_and_conclude(ask, explain=explain)
            judge_s = time.perf_counter() - started
        return self._to_plan(request, route, ask, switch, decision, judge_s)

    async def judged(self, pending: Pending) -> Plan:
        """The plan for a request whose judge asks a backend. A judge that fails or is late never fails a request."""
        judge = self.backend_judge
        assert judge is not None  # noqa: S101 - there is nothing pending without one
        started = time.perf_counter()
        judgement, failure = None, ""
        try:
            judgement = judge.at_once(pending)
            if judgement is None:
                async with asyncio.timeout(self._judge_timeout_s):
                    judgement = await judge.ask(pending)
        except Exception as error:  # whatever it is, the stated default answers
            failure = type(error).__name__
        decision = self._router.conclude(pending.ask, judgement, failure=failure)
        judge_s = time.perf_counter() - started
        return self._to_plan(pending.request, pending.route, pending.ask, pending.switch, decision, judge_s)

    def instruct_fields(self, pending: Pending, pool: Pool) -> Body:
        """The fields that `pool` would get for the request in instruct mode."""
        return self._fields(pending.request, pending.route, Mode.INSTRUCT, pool, pending.switch)

    def _to_plan(
        self,
        request: ChatRequest,
        route: Route,
        ask: RouteRequest,
        switch: Mode | None,
        decision: Decision,
        judge_s: float,
    ) -> Plan:
        pool = self._pools[route.pool_for(decision.mode)]
        routing = Routing(new_id(), decision, decision.mode, decision.reason, pool.name, pool.model)
        body, adds_usage = self._body(request, route, decision.mode, pool, switch)
        return Plan(request, ask.profile, routing, pool, body, adds_usage, judge_s, ask.conversation, route, switch)

    def fall_back(self, plan: Plan) -> Plan:
        """The same request, answered by the other mode."""
        assert plan.route is not None  # noqa: S101 - may_fall_back has said so
        mode = plan.routing.mode.other
        pool = self._pools[plan.route.pool_for(mode)]
        body, adds_usage = self._body(plan.request, plan.route, mode, pool, plan.switch)
        routing = replace(
            plan.routing,
            mode=mode,
            reason=Reason.FALLBACK,
            pool=pool.name,
            model=pool.model,
            fallback_from=plan.routing.pool,
        )
        return replace(plan, routing=routing, pool=pool, body=body, adds_usage=adds_usage)

    def _direct(self, request: ChatRequest, pool: Pool) -> Plan:
        """A pool's own model name: the request goes there untouched, as if the client had called vLLM."""
        mode = self._mode_of(pool, request)
        because = f"`{request.model}` is a model's own name: the request goes there untouched"
        decision = Decision(mode, Reason.CLIENT_MODEL, because, "default", budget=request.intent.budget)
        routing = Routing(new_id(), decision, mode, Reason.CLIENT_MODEL, pool.name, pool.model)
        conversation = Conversation(ask="", turns=len(request.messages))
        body = _encode(request.fields)
        return Plan(request, self._profiles["default"], routing, pool, body, False, 0.0, conversation, None, None)

    def _mode_of(self, pool: Pool, request: ChatRequest) -> Mode:
        """The mode in which a pool's model answers by itself."""
        for route in self._routes.values():
            if route.pool == pool.name:  # hybrid models think by default
                return Mode.INSTRUCT if request.intent.off else Mode.THINKING
            if route.thinking == pool.name and route.instruct != pool.name:
                return Mode.THINKING
        return Mode.INSTRUCT

    def _body(
        self, request: ChatRequest, route: Route, mode: Mode, pool: Pool, switch: Mode | None
    ) -> tuple[bytes, bool]:
        fields = self._fields(request, route, mode, pool, switch)
        adds_usage = request.stream and not request.wants_usage and fields.get("stream_options", _NULL) == _NULL
        if adds_usage:  # tokens are counted for every stream; the client does not see the chunk it did not ask for
            fields["stream_options"] = _WITH_USAGE
        return _encode(fields), adds_usage

    def _fields(self, request: ChatRequest, route: Route, mode: Mode, pool: Pool, switch: Mode | None) -> Body:
        family: Family = self._families[route.family]
        fields: Body = dict(request.fields)
        fields["model"] = pool.model_json
        family.prepare(fields, mode, messages=request.messages, switch=switch)
        return fields

    def _profile(self, route: Route, headers: Mapping[bytes, bytes], caller: Caller) -> Profile:
        asked = headers.get(b"x-thinkgate-profile")
        if asked is None:
            return self._profiles[route.profile]
        name = asked.decode("latin-1")
        if name not in self._profiles:
            known = ", ".join(sorted(self._profiles))
            raise BadRequest(f"x-thinkgate-profile: `{name[:100]}` is not known; known are {known}.")
        if name not in caller.profiles and "*" not in caller.profiles:
            raise BadRequest(f"x-thinkgate-profile: this key may not choose `{name}` (auth.keys[].profiles).")
        return self._profiles[name]


def _header_mode(headers: Mapping[bytes, bytes]) -> Mode | Literal["auto"] | None:
    value = headers.get(b"x-thinkgate-mode")
    if value is None:
        return None
    word = value.decode("latin-1").strip().lower()
    if word == "auto":
        return "auto"
    try:
        return Mode(word)
    except ValueError:
        raise BadRequest(f"x-thinkgate-mode must be instruct, thinking or auto, not `{word[:50]}`.") from None


def _session_key(request: ChatRequest, headers: Mapping[bytes, bytes], tenant: str) -> Hashable:
    """The tenant's name for the conversation: the client's own, or the texts that it opened with."""
    for name in SESSION_HEADERS:
        value = headers.get(name)
        if value:
            return tenant, value[:256].decode("latin-1")
    if request.session:
        return tenant, request.session[:256]
    # Hashes, not texts: 100,000 sessions must not keep 100,000 prompts. They hold for this process alone.
    opening = 0
    for message in request.messages:
        content = message.get("content")
        opening = hash((opening, content if type(content) is str else str(content)[:4096]))
        if message.get("role") == "user":
            break
    return tenant, opening


_ids = random.Random(
    random.SystemRandom().getrandbits(128)
)  # an id names a decision and guards nothing: it need not be secret


def new_id(prefix: str = "dec_") -> str:
    """A fresh identifier."""
    return f"{prefix}{_ids.getrandbits(96):024x}"
