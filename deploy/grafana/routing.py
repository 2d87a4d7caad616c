"""The dashboard *Routing*: what goes where, and who said so."""

from deploy.grafana.panels import Dashboard, Panel, Query, Row

DECIDED = 'thinkgate_decisions_total{job=~"$job"'
RATE = "[$__rate_interval]"


def share(part: str, whole: str, by: str = "") -> str:
    """`part` of `whole`, both selectors without their closing brace; 0, not nothing, where part is none."""
    group = f" by ({by})" if by else ""
    total = f"sum{group} (rate({whole}}}{RATE}))"
    return f"(sum{group} (rate({part}}}{RATE})) or 0 * {total}) / ({total} > 0)"


OVERRIDES = "client_model|client_header|client_field|soft_switch"

ROUTING = Dashboard(
    "thinkgate-routing",
    "ThinkGate / Routing",
    "How much of the traffic thinks, why, and where the judge's threshold lies.",
    [
        Row(
            "At a glance · 概览",
            [
                Panel(
                    "Thinking",
                    "Share of all decisions that chose thinking.",
                    [Query(share(DECIDED + ',mode="thinking"', DECIDED))],
                    "stat",
                    "percentunit",
                    6,
                    5,
                ),
                Panel(
                    "Thinking, where the judge decided",
                    "Share of the judge's own decisions that chose thinking: what the threshold sets.",
                    [Query(share(DECIDED + ',reason="judge",mode="thinking"', DECIDED + ',reason="judge"'))],
                    "stat",
                    "percentunit",
                    6,
                    5,
                ),
                Panel(
                    "Decided by clients",
                    "Share of decisions that a model name, header, field or soft switch of the client settled.",
                    [Query(share(DECIDED + f',reason=~"{OVERRIDES}"', DECIDED))],
                    "stat",
                    "percentunit",
                    6,
                    5,
                ),
                Panel(
                    "Answered by the other mode",
                    "Share of decisions after which the chosen pool could not answer and the other one did.",
                    [
                        Query(
                            f'(sum (rate(thinkgate_fallbacks_total{{job=~"$job"}}{RATE}))'
                            f" or 0 * sum (rate({DECIDED}}}{RATE}))) / (sum (rate({DECIDED}}}{RATE})) > 0)"
                        )
                    ],
                    "stat",
                    "percentunit",
                    6,
                    5,
                ),
            ],
        ),
        Row(
            "Modes and reasons · 模式与原因",
            [
                Panel(
                    "Decisions by mode",
                    "Decisions a second, before any fallback.",
                    [Query(f"sum by (mode) (rate({DECIDED}}}{RATE}))", "{{mode}}")],
                    unit="reqps",
                    stacked=True,
                ),
                Panel(
                    "Share that thinks, by reason",
                    "Of the decisions with each reason, the share that chose thinking.",
                    [Query(share(DECIDED + ',mode="thinking"', DECIDED, "reason"), "{{reason}}")],
                    unit="percentunit",
                    low=0,
                    high=1,
                ),
                Panel(
                    "Decisions by reason",
                    "Decisions a second, by what settled the mode.",
                    [Query(f"sum by (reason) (rate({DECIDED}}}{RATE}))", "{{reason}}")],
                    unit="reqps",
                    stacked=True,
                ),
                Panel(
                    "Decided by clients, by way and mode",
                    "Decisions a second that a client settled: model name, header, field, soft switch.",
                    [
                        Query(
                            f'sum by (reason, mode) (rate({DECIDED},reason=~"{OVERRIDES}"}}{RATE}))',
                            "{{reason}} → {{mode}}",
                        )
                    ],
                    unit="reqps",
                ),
            ],
        ),
        Row(
            "Profiles and policies · 配置档与策略",
            [
                Panel(
                    "Share that thinks, by profile",
                    "Of the decisions by each profile, the share that chose thinking.",
                    [Query(share(DECIDED + ',mode="thinking"', DECIDED, "profile"), "{{profile}}")],
                    unit="percentunit",
                    low=0,
                    high=1,
                    width=8,
                ),
                Panel(
                    "Share that thinks, and its target",
                    "Profiles with a `think_ratio`: the recent share of judged requests that think, and what is aimed "
                    "at. Where they stay apart, the threshold stands at its bound.",
                    [
                        Query(f'avg by (profile) (thinkgate_think_ratio{suffix}{{job=~"$job"}})', legend)
                        for suffix, legend in (("", "{{profile}}"), ("_target", "target of {{profile}}"))
                    ],
                    unit="percentunit",
                    low=0,
                    high=1,
                    width=8,
                ),
                Panel(
                    "Added to thresholds",
                    "What load and a token budget add to a profile's threshold, the highest of all gateways.",
                    [
                        Query(
                            'max by (profile, cause) (thinkgate_threshold_margin{job=~"$job"})',
                            "{{profile}}: {{cause}}",
                        )
                    ],
                    low=0,
                    width=8,
                ),
                Panel(
                    "Thinking withheld",
                    "Share of judged requests that would have thought, and did not for want of capacity or tokens.",
                    [Query('thinkgate:thinking_withheld_ratio:rate5m{job=~"$job"}', "{{job}}")],
                    unit="percentunit",
                    low=0,
                    width=8,
                ),
                Panel(
                    "Explored",
                    "Decisions a second that chance turned round, by the mode that was taken.",
                    [Query(f'sum by (mode) (rate(thinkgate_explored_total{{job=~"$job"}}{RATE}))', "{{mode}}")],
                    unit="reqps",
                    stacked=True,
                    width=8,
                ),
                Panel(
                    "Escalations",
                    "Instruct drafts a second that were dropped, and answered by thinking.",
                    [Query(f'sum by (cause) (rate(thinkgate_escalations_total{{job=~"$job"}}{RATE}))', "{{cause}}")],
                    unit="reqps",
                    width=8,
                ),
                Panel(
                    "Tokens of drafts",
                    "Tokens a second that were held back: given in the end, or dropped, which is the cost.",
                    [
                        Query(
                            f'sum by (outcome) (rate(thinkgate_draft_tokens_total{{job=~"$job"}}{RATE}))',
                            "{{outcome}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "Surprise of drafts",
                    "Mean negative log-probability of a draft's tokens, in nats; a draft above the bound is dropped.",
                    [
                        Query(
                            f"histogram_quantile({q}, sum by (le) "
                            f'(rate(thinkgate_draft_surprise_nats_bucket{{job=~"$job"}}{RATE})))',
                            f"p{round(q * 100)}",
                        )
                        for q in (0.5, 0.9)
                    ],
                    low=0,
                ),
            ],
        ),
        Row(
            "Scores and threshold · 评分与阈值",
            [
                Panel(
                    "Scores",
                    "Distribution of the judge's scores over time; brighter cells hold more requests.",
                    [
                        Query(
                            f'sum by (le) (increase(thinkgate_judge_score_bucket{{job=~"$job"}}{RATE}))',
                            "{{le}}",
                            "heatmap",
                        )
                    ],
                    "heatmap",
                ),
                Panel(
                    "Score quantiles and threshold",
                    "Requests with a score at or above a profile's threshold think.",
                    [
                        Query(
                            f"histogram_quantile({q}, sum by (le) "
                            f'(rate(thinkgate_judge_score_bucket{{job=~"$job"}}{RATE})))',
                            f"p{round(q * 100)}",
                        )
                        for q in (0.1, 0.5, 0.9)
                    ]
                    + [Query('max by (profile) (thinkgate_threshold{job=~"$job"})', "threshold of {{profile}}")],
                    low=0,
                    high=1,
                ),
            ],
        ),
        Row(
            "Fallbacks · 回退",
            [
                Panel(
                    "Fallbacks",
                    "Requests a second that the other mode answered, by cause.",
                    [
                        Query(
                            f'sum by (from, to, cause) (rate(thinkgate_fallbacks_total{{job=~"$job"}}{RATE}))',
                            "{{from}} → {{to}}: {{cause}}",
                        )
                    ],
                    unit="reqps",
                    width=8,
                ),
                Panel(
                    "Rescues",
                    "Answers a second where thinking had used up its tokens and left none, by how they were given.",
                    [
                        Query(
                            f'sum by (how) (rate(thinkgate_rescues_total{{job=~"$job"}}{RATE}))'
                            f" or 0 * sum (rate({DECIDED}}}{RATE}))",
                            "{{how}}",
                        )
                    ],
                    unit="reqps",
                    width=8,
                ),
                Panel(
                    "Requests by status",
                    "Requests a second by the status that the client got; 499: the client left.",
                    [Query(f'sum by (status) (rate(thinkgate_requests_total{{job=~"$job"}}{RATE}))', "{{status}}")],
                    unit="reqps",
                    stacked=True,
                    width=8,
                ),
            ],
        ),
    ],
)
