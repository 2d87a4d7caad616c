"""From a parsed request to a plan: decision, target, and the backend's body. Knows settings; does no I/O."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from app.dataplane.chat_request import ChatRequest
from app.dataplane.plan import Caller, Plan
from app.dataplane.request_hints import header_mode, session_key
from app.dataplane.routed_request import RoutedRequest
from app.dataplane.special import Special, asks_logprobs, begun_answer
from app.errors import BadRequest, Forbidden, GatewayError, ModelNotFound
from app.ids import new_id
from app.judging.pending import Pending
from app.metadata import Routing
from app.policies.policies import Policies
from app.pools.pool import Pool
from app.settings import Route, Settings
from router.conversation import Conversation, read_conversation
from router.decision import Decision, RouteRequest
from router.family import Body, Family, load_families
from router.mode import Mode, Reason
from router.profile import Profile
from router.switches import last_switch
from router.tags import TagReader
from router.think_router import ThinkRouter

if TYPE_CHECKING:
    from app.dataplane.second_answer import Rescuer
    from app.judging.backend_judge import BackendJudge

_encode = msgspec.json.Encoder().encode
_NULL, _TRUE = msgspec.Raw(b"null"), msgspec.Raw(b"true")
_WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')


class Planner:
    """Turns requests into plans, by the settings and the router."""

    def __init__(self, settings: Settings, router: ThinkRouter, pools: Mapping[str, Pool]) -> None:
        self._router = router
        self._judge_timeout_s = (settings.judge.timeout_ms or 1000.0) / 1e3
        self.backend_judge: BackendJudge | None = None
        """Set by the composition where the judge asks a backend."""
        self.rescuer: Rescuer | None = None
        """Set by the composition."""
        self.opening_hash: Callable[[tuple[int, str]], int] = hash
        """Set by the composition where gateways share sessions."""
        self._pools = dict(pools)
        self._profiles = {name: p.to_profile(name) for name, p in settings.profiles.items()}
        self._profiles.setdefault("default", Profile())
        self.policies = Policies(self._profiles.values())
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
        self,
        request: RoutedRequest,
        headers: Mapping[bytes, bytes],
        caller: Caller,
        *,
        explain: bool = False,
        dry: bool = False,
    ) -> Plan | Pending:
        """Decide, choose the pool and write the backend's body. Pending where the judge has to ask a backend first.

        A `dry` plan leaves no trace in the session; `explain` gives the features too, and is dry.

        Raises ModelNotFound or BadRequest.
        """
        if caller.names is not None and request.model not in caller.names:
            raise self._not_allowed(request.model, caller.names)
        named = self._names.get(request.model)
        if named is None:
            return self._direct(request, self._pool_of_model(request.model), headers, caller)
        route, model_mode = named
        switch = last_switch(request.messages) if request.may_switch else None
        conversation = read_conversation(request.messages, tools=request.tools, response_format=request.response_format)
        profile = self._profile(route, headers, caller)
        ask = RouteRequest(
            profile=profile,
            conversation=conversation,
            model_mode=model_mode,
            header=header_mode(headers),
            fields=request.intent,
            switch=switch,
            may_think=caller.ledger is None or caller.ledger.may_think(time.monotonic()),
            session=session_key(request, headers, caller.tenant, self.opening_hash),
            dry=explain or dry,
            in_force=self.policies.in_force(profile, self._pools[route.pool_for(Mode.THINKING)], caller.ledger)
            if profile.controlled
            else None,
        )
        decision = self._router.settle(ask)
        judge_s = 0.0
        if decision is None:
            family = self._families[route.family]
            if family.kind == "self-judging":
                decision = self._router.left_to_model(ask, f"self@{family.name}")
                return self._to_plan(request, route, ask, switch, decision, 0.0)
            if self.backend_judge is not None:
                return Pending(request, route, ask, switch)
            started = time.perf_counter()
            decision = self._router.judge_and_conclude(ask, explain=explain)
            judge_s = time.perf_counter() - started
        return self._to_plan(request, route, ask, switch, decision, judge_s)

    def _not_allowed(self, model: str, allowed: frozenset[str]) -> GatewayError:
        """The error of a caller that may not name it; it tells no name that the caller may not use."""
        known = self.model_names()
        may = ", ".join(name for name in known if name in allowed)
        if model in known:
            return Forbidden(f"This key may not use `{model}`. It may use: {may}.", param="model")
        return ModelNotFound(f"The model `{model[:200]}` does not exist. Known are: {may}.", param="model")

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

    def pool_for(self, model: str, caller: Caller) -> Pool:
        """The pool for a request about which nothing is decided. A route's alias means its Instruct pool, unless its
        ending or the route's profile says another mode. Raises ModelNotFound or Forbidden."""
        if caller.names is not None and model not in caller.names:
            raise self._not_allowed(model, caller.names)
        named = self._names.get(model)
        if named is None:
            return self._pool_of_model(model)
        route, model_mode = named
        mode = self._profiles[route.profile].mode or model_mode or Mode.INSTRUCT
        return self._pools[route.pool_for(mode)]

    def _pool_of_model(self, model: str) -> Pool:
        pool = self._by_model.get(model)
        if pool is None:
            known = ", ".join(self.model_names())
            raise ModelNotFound(f"The model `{model[:200]}` does not exist. Known are: {known}.", param="model")
        return pool

    def rehearse(self, request: RoutedRequest, headers: Mapping[bytes, bytes], caller: Caller) -> Plan:
        """The plan that a request would have, without a trace. A judge that asks a backend is not asked: the session's
        last mode stands for its word, or the default. Raises ModelNotFound or BadRequest."""
        plan = self.plan(request, headers, caller, dry=True)
        if isinstance(plan, Pending):
            decision = self._router.conclude(plan.ask, None, failure="not asked")
            return self._to_plan(plan.request, plan.route, plan.ask, plan.switch, decision, 0.0)
        return plan

    def instruct_fields(self, pending: Pending, pool: Pool) -> Body:
        """The fields of a chat completion that `pool` would get for the request in instruct mode."""
        return pending.request.for_judge(self._families[pending.route.family], pool.model_json, pending.switch)

    def _to_plan(
        self,
        request: RoutedRequest,
        route: Route,
        ask: RouteRequest,
        switch: Mode | None,
        decision: Decision,
        judge_s: float,
    ) -> Plan:
        pool = self._pools[route.pool_for(decision.mode)]
        special = None
        family = self._families[route.family]
        if ask.profile.tuned or decision.budget is not None or family.tags:
            # A raw prompt is continued as it stands: no verdict is to be read, and none to be given.
            judges = decision.reason is Reason.SELF_JUDGED and "prompt" not in request.fields
            told = None if judges else decision.mode
            special = self._special(request, family, ask, told, decision, pool)
            if told is Mode.THINKING:
                decision = replace(decision, budget=special.budget)
            elif ask.profile.escalation is not None and self._is_draft(request, family, ask, decision, pool):
                special = replace(special, draft=ask.profile.escalation)
        routing = Routing(new_id(), decision, decision.mode, decision.reason, pool.name, pool.model)
        body, adds_usage = self._body(request, family, decision.mode, pool, switch, special)
        conversation = ask.conversation
        affinity = 0 if len(pool.replicas) == 1 else hash(ask.session)
        return Plan(
            request,
            ask.profile,
            routing,
            pool,
            body,
            adds_usage,
            judge_s,
            conversation,
            route,
            switch,
            special,
            affinity,
            self.policies.of(ask.profile) if ask.profile.controlled else None,
        )

    def _special(
        self,
        request: RoutedRequest,
        family: Family,
        ask: RouteRequest,
        told: Mode | None,
        decision: Decision,
        pool: Pool,
    ) -> Special:
        if family.kind == "self-judging" and not (isinstance(request, ChatRequest) or "prompt" in request.fields):
            raise BadRequest(
                f"`{request.model}` is a model that judges itself; its tags are read in /v1/chat/completions alone.",
                param="model",
            )
        profile, intent = ask.profile, request.intent
        budget = None
        if told is Mode.THINKING and pool.takes_budgets:
            asked = intent.budget or None  # a budget of nothing contradicts the decision
            budget = asked if profile.budget is None else profile.budget.tokens(asked, intent.effort, decision.score)
        begun = begun_answer(request.messages, request.fields) if family.tags else ""
        return Special(family, ask, told, begun, budget, profile.rescue_tokens)

    def _is_draft(
        self, request: RoutedRequest, family: Family, ask: RouteRequest, decision: Decision, pool: Pool
    ) -> bool:
        """Is an instruct answer to be watched? One that the judge alone decided, near the threshold, which a thinking
        one could take the place of: not while load or budget save thinking, nor with tools, whose calls are no text."""
        escalation, score = ask.profile.escalation, decision.score
        return (
            escalation is not None
            and score is not None
            and decision.reason is Reason.JUDGE
            and ask.threshold - escalation.band <= score < ask.threshold
            and ask.may_think
            and not (ask.in_force is not None and ask.in_force.raised)
            and isinstance(request, ChatRequest)
            and request.choices == 1
            and request.tools == 0
            and not family.tags
            and pool.gives_logprobs
            and (asks_logprobs(request.fields) or "top_logprobs" not in request.fields)
        )

    def escalate(self, plan: Plan, tokens: int, mean: float) -> Plan:
        """The same request, answered by thinking, after a draft of so many tokens with this mean log-probability."""
        special = plan.special
        assert special is not None  # noqa: S101 - there was a draft
        assert special.draft is not None  # noqa: S101
        because = f"the draft's mean log-probability {mean:.3f} is below {special.draft.bound:g}"
        decision = self._router.escalated(special.ask, plan.routing.decision, because)
        routing = replace(plan.routing, reason=Reason.ESCALATED, decision=decision, draft_tokens=tokens)
        return self._other_mode(plan, routing)

    def without_draft(self, plan: Plan) -> Plan:
        """The same request for a pool that turned out to give no log-probabilities; the pool is remembered."""
        special, route = plan.special, plan.route
        assert special is not None and route is not None  # noqa: S101, PT018 - there was a draft
        plan.pool.gives_logprobs = False
        special = replace(special, draft=None)
        body, _ = self._body(plan.request, special.family, plan.routing.mode, plan.pool, plan.switch, special)
        return replace(plan, special=special, body=body)

    def without_budget(self, plan: Plan) -> Plan:
        """The same request for a pool that turned out to take no budgets; the pool is remembered."""
        special, route = plan.special, plan.route
        assert special is not None and route is not None  # noqa: S101, PT018 - there was a budget
        plan.pool.takes_budgets = False
        special = replace(special, budget=None)
        routing = replace(plan.routing, decision=replace(plan.routing.decision, budget=None))
        body, _ = self._body(plan.request, special.family, routing.mode, plan.pool, plan.switch, special)
        return replace(plan, special=special, routing=routing, body=body)

    def instruct_side(self, plan: Plan) -> tuple[Pool, Body]:
        """The pool that would answer the same request without thinking, and the fields that it would get."""
        route = plan.route
        assert route is not None  # noqa: S101 - the request was routed
        pool = self._pools[route.pool_for(Mode.INSTRUCT)]
        family = self._families[route.family]
        return pool, plan.request.for_backend(family, Mode.INSTRUCT, pool.model_json, plan.switch)

    def self_judged(self, plan: Plan, reader: TagReader) -> Plan:
        """The plan with the verdict that the model gave on itself."""
        special = plan.special
        assert special is not None  # noqa: S101 - somebody has read the verdict
        judge = plan.routing.decision.judge
        decision = self._router.by_model(special.ask, reader.mode, judge, spoken=reader.verdict is not None)
        routing = replace(plan.routing, decision=decision, mode=decision.mode, judgement=reader.judge)
        return replace(plan, routing=routing)

    def fall_back(self, plan: Plan) -> Plan:
        """The same request, answered by the other mode."""
        return self._other_mode(plan, replace(plan.routing, reason=Reason.FALLBACK, fallback_from=plan.routing.pool))

    def stay(self, plan: Plan, pool: str, because: str) -> Plan:
        """The same request, answered by the mode whose pool holds what the request goes on with."""
        if plan.routing.pool == pool or plan.route is None or plan.route.pool_for(plan.routing.mode.other) != pool:
            return plan  # by that pool anyway, or by one that the route does not lead to
        decision = replace(plan.routing.decision, mode=plan.routing.mode.other, reason=Reason.SESSION, because=because)
        return self._other_mode(plan, replace(plan.routing, reason=Reason.SESSION, decision=decision))

    def _other_mode(self, plan: Plan, routing: Routing) -> Plan:
        assert plan.route is not None  # noqa: S101 - a plan without a route has one mode
        mode = plan.routing.mode.other
        pool = self._pools[plan.route.pool_for(mode)]
        special, decision = plan.special, routing.decision
        family = self._families[plan.route.family]
        if special is not None:
            special = self._special(plan.request, family, special.ask, mode, decision, pool)
            decision = replace(decision, budget=special.budget)
        body, adds_usage = self._body(plan.request, family, mode, pool, plan.switch, special)
        routing = replace(routing, decision=decision, mode=mode, pool=pool.name, model=pool.model)
        return replace(plan, routing=routing, pool=pool, body=body, adds_usage=adds_usage, special=special)

    def _direct(self, request: RoutedRequest, pool: Pool, headers: Mapping[bytes, bytes], caller: Caller) -> Plan:
        """A pool's own model name: the request goes there untouched, as if the client had called vLLM."""
        mode = self._mode_of(pool, request)
        because = f"`{request.model}` is a model's own name: the request goes there untouched"
        decision = Decision(mode, Reason.CLIENT_MODEL, because, "default", budget=request.intent.budget)
        routing = Routing(new_id(), decision, mode, Reason.CLIENT_MODEL, pool.name, pool.model)
        conversation = Conversation(ask="", turns=len(request.messages))
        body = _encode(request.fields)
        affinity = (
            0 if len(pool.replicas) == 1 else hash(session_key(request, headers, caller.tenant, self.opening_hash))
        )
        return Plan(
            request,
            self._profiles["default"],
            routing,
            pool,
            body,
            False,
            0.0,
            conversation,
            None,
            None,
            None,
            affinity,
        )

    def _mode_of(self, pool: Pool, request: RoutedRequest) -> Mode:
        """The mode in which a pool's model answers by itself."""
        for route in self._routes.values():
            if route.pool == pool.name:  # hybrid models think by default
                return Mode.INSTRUCT if request.intent.off else Mode.THINKING
            if route.thinking == pool.name and route.instruct != pool.name:
                return Mode.THINKING
        return Mode.INSTRUCT

    def _body(
        self,
        request: RoutedRequest,
        family: Family,
        mode: Mode,
        pool: Pool,
        switch: Mode | None,
        special: Special | None = None,
    ) -> tuple[bytes, bool]:
        if special is None:
            fields = request.for_backend(family, mode, pool.model_json, switch)
        else:
            fields = request.for_backend(family.limited(special.budget), special.told, pool.model_json, switch)
            if special.draft is not None:
                fields["logprobs"] = _TRUE
        adds_usage = request.stream and not request.wants_usage and fields.get("stream_options", _NULL) == _NULL
        if adds_usage:  # tokens are counted for every stream; the client does not see the chunk it did not ask for
            fields["stream_options"] = _WITH_USAGE
        return _encode(fields), adds_usage

    def _profile(self, route: Route, headers: Mapping[bytes, bytes], caller: Caller) -> Profile:
        asked = headers.get(b"x-thinkgate-profile")
        if asked is None:
            return self._profiles.get(caller.profile) or self._profiles[route.profile]
        name = asked.decode("latin-1")
        if name not in self._profiles:
            known = ", ".join(sorted(self._profiles))
            raise BadRequest(f"x-thinkgate-profile: `{name[:100]}` is not known; known are {known}.")
        if name not in caller.profiles and "*" not in caller.profiles:
            raise BadRequest(f"x-thinkgate-profile: this key may not choose `{name}` (auth.keys[].profiles).")
        return self._profiles[name]
