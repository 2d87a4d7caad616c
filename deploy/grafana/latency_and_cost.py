"""The dashboard *Latency and cost*: what clients wait for, what thinking costs, what the gateway adds."""

from deploy.grafana.panels import Dashboard, Panel, Query, Row

RATE = "[$__rate_interval]"
TOKENS = 'thinkgate_tokens_total{job=~"$job"'


def quantiles(metric: str, by: str, *levels: float) -> list[Query]:
    """Quantiles of a histogram by a label."""
    names = f"{by}, le" if by else "le"
    return [
        Query(
            f'histogram_quantile({q}, sum by ({names}) (rate({metric}_bucket{{job=~"$job"}}{RATE})))',
            f"{{{{{by}}}}} p{q * 100:g}" if by else f"p{q * 100:g}",
        )
        for q in levels
    ]


LATENCY_AND_COST = Dashboard(
    "thinkgate-latency-and-cost",
    "ThinkGate / Latency and cost",
    "What clients wait for, what thinking costs, and what the gateway itself adds.",
    [
        Row(
            "What clients wait for · 客户端等待时间",
            [
                Panel(
                    "Time to the first token",
                    "To the first token of any kind; streams only.",
                    quantiles("thinkgate_time_to_first_token_seconds", "mode", 0.5, 0.95),
                    unit="s",
                    width=8,
                ),
                Panel(
                    "Time to the answer",
                    "To the first token of the answer, after thinking; streams only. The distance between the modes is "
                    "the wait that routing saves.",
                    quantiles("thinkgate_time_to_answer_seconds", "mode", 0.5, 0.95),
                    unit="s",
                    width=8,
                ),
                Panel(
                    "Whole answer",
                    "From the request to the end of the answer, for answers with status 200.",
                    quantiles("thinkgate_request_duration_seconds", "mode", 0.5, 0.95),
                    unit="s",
                    width=8,
                ),
                Panel(
                    "Between tokens",
                    "Time from token to token within a stream.",
                    quantiles("thinkgate_inter_token_seconds", "mode", 0.5, 0.99),
                    unit="s",
                ),
                Panel(
                    "Clients that left",
                    "Clients a second that gave up, by where their request was.",
                    [
                        Query(
                            f'sum by (phase) (rate(thinkgate_client_disconnects_total{{job=~"$job"}}{RATE}))',
                            "{{phase}}",
                        )
                    ],
                    unit="reqps",
                ),
            ],
        ),
        Row(
            "What thinking costs · 思考的开销",
            [
                Panel(
                    "Generated tokens spent on thinking",
                    "Reasoning tokens as a share of all generated tokens.",
                    [
                        Query(
                            f'sum (rate({TOKENS},kind="reasoning"}}{RATE}))'
                            f' / (sum (rate({TOKENS},kind=~"reasoning|answer"}}{RATE})) > 0)'
                        )
                    ],
                    "stat",
                    "percentunit",
                    6,
                ),
                Panel(
                    "Thinking avoided, at most",
                    "Reasoning tokens a second that were not generated because the judge chose instruct, if those "
                    "requests had thought as long as the ones that did think. Easy ones think less: a bound.",
                    [Query('sum (thinkgate:thinking_tokens_avoided_at_most:rate1h{job=~"$job"})')],
                    "stat",
                    "short",
                    6,
                ),
                Panel(
                    "Tokens by mode and kind",
                    "Tokens a second.",
                    [Query(f"sum by (mode, kind) (rate({TOKENS}}}{RATE}))", "{{mode}} {{kind}}")],
                    stacked=True,
                ),
                Panel(
                    "Generated tokens an answer",
                    "Reasoning and answer tokens of a request, on average, by the mode that answered.",
                    [
                        Query(
                            f'sum by (mode) (rate({TOKENS},kind=~"reasoning|answer"}}{RATE})) / (sum by (mode) '
                            f'(rate(thinkgate_request_duration_seconds_count{{job=~"$job"}}{RATE})) > 0)',
                            "{{mode}}",
                        )
                    ],
                ),
                Panel(
                    "Reasoning tokens a thinking answer",
                    "On average over an hour.",
                    [Query('thinkgate:reasoning_tokens_per_thinking_answer:rate1h{job=~"$job"}', "{{job}}")],
                    width=6,
                ),
                Panel(
                    "Budgets refused",
                    "Thinking budgets a second that a server knew nothing of: thinking there is not bounded.",
                    [
                        Query(
                            f'sum by (pool) (rate(thinkgate_budgets_refused_total{{job=~"$job"}}{RATE}))'
                            ' or 0 * sum by (pool) (thinkgate_in_flight{job=~"$job"})',
                            "{{pool}}",
                        )
                    ],
                    unit="reqps",
                    width=6,
                ),
            ],
        ),
        Row(
            "What the gateway adds · 网关自身的开销",
            [
                Panel(
                    "Overhead",
                    "From a request's last byte to its dispatch to a backend; connecting, and a judge that asks a "
                    "backend, included.",
                    quantiles("thinkgate_overhead_seconds", "", 0.5, 0.99),
                    unit="s",
                    width=8,
                ),
                Panel(
                    "Judge",
                    "Time the judge takes.",
                    quantiles("thinkgate_judge_duration_seconds", "judge", 0.5, 0.99),
                    unit="s",
                    width=8,
                ),
                Panel(
                    "Error budget",
                    "Share of requests that ended with a 5xx, over windows of several lengths; the objective is 0.1 %.",
                    [
                        Query(f'thinkgate:request_errors:ratio_rate{w}{{job=~"$job"}}', w)
                        for w in ("5m", "30m", "1h", "6h")
                    ],
                    unit="percentunit",
                    width=8,
                ),
            ],
        ),
    ],
)
