"""The dashboard *Backends*: the replicas as the gateway sees them, and vLLM as it sees itself."""

from deploy.grafana.panels import Dashboard, Panel, Query, Row

RATE = "[$__rate_interval]"

BACKENDS = Dashboard(
    "thinkgate-backends",
    "ThinkGate / Backends",
    "The replicas as the gateway sees them, and vLLM as it sees itself.",
    [
        Row(
            "As the gateway sees them · 网关视角",
            [
                Panel(
                    "Replicas up",
                    "Share of a pool's replicas that can be reached, the worst view of all gateways.",
                    [Query('min by (pool) (avg by (instance, pool) (thinkgate_backend_up{job=~"$job"}))', "{{pool}}")],
                    "stat",
                    "percentunit",
                    6,
                ),
                Panel(
                    "Replicas",
                    "1: can be reached from every gateway; 0: some gateway cannot.",
                    [Query('min by (pool, replica) (thinkgate_backend_up{job=~"$job"})', "{{pool}} {{replica}}")],
                    low=0,
                    high=1,
                    width=9,
                ),
                Panel(
                    "Requests in flight",
                    "Requests that have not ended, all gateways together.",
                    [Query('sum by (pool) (thinkgate_in_flight{job=~"$job"})', "{{pool}}")],
                    stacked=True,
                    width=9,
                ),
                Panel(
                    "Waiting for a place",
                    "Requests in the gateways' own queues, where a pool's or a replica's limit is reached.",
                    [Query('sum by (pool) (thinkgate_waiting{job=~"$job"})', "{{pool}}")],
                    width=8,
                ),
                Panel(
                    "Turned away",
                    "Requests a second: no place in the pool (before any fallback), or over a key's or tenant's limit.",
                    [Query(f'sum by (cause) (rate(thinkgate_shed_total{{job=~"$job"}}{RATE}))', "{{cause}}")],
                    unit="reqps",
                    width=8,
                ),
                Panel(
                    "Left alone",
                    "1: a replica answers its health check but fails requests, and gets none for a while.",
                    [Query('max by (pool, replica) (thinkgate_backend_ejected{job=~"$job"})', "{{pool}} {{replica}}")],
                    low=0,
                    high=1,
                    width=8,
                ),
                Panel(
                    "Failures",
                    "Failures of backends a second: connections, time-outs, broken answers, their own 5xx.",
                    [
                        Query(
                            f'sum by (pool, kind) (rate(thinkgate_upstream_errors_total{{job=~"$job"}}{RATE}))',
                            "{{pool}} {{kind}}",
                        )
                    ],
                    unit="reqps",
                ),
                Panel(
                    "Retries",
                    "Requests a second that were sent again to another replica.",
                    [Query(f'sum (rate(thinkgate_retries_total{{job=~"$job"}}{RATE}))', "retries")],
                    unit="reqps",
                ),
            ],
        ),
        Row(
            "The gateways themselves · 网关自身",
            [
                Panel(
                    "Processes",
                    "Gateways that answer Prometheus, each with its workers.",
                    [
                        Query(
                            'sum (thinkgate_workers{job=~"$job"} or on (job, instance) (up{job=~"$job"} == 1 and on '
                            '(job, instance) thinkgate_state_behind_seconds{job=~"$job"}))',
                            "processes",
                        )
                    ],
                    "stat",
                    "short",
                    4,
                ),
                Panel(
                    "Workers replaced",
                    "Worker processes in an hour that died or were asked to end, and were replaced.",
                    [
                        Query(
                            'sum by (instance) (increase(thinkgate_workers_replaced_total{job=~"$job"}[1h]))'
                            ' or 0 * max by (instance) (thinkgate_state_behind_seconds{job=~"$job"})',
                            "{{instance}}",
                        )
                    ],
                    width=5,
                ),
                Panel(
                    "Behind Redis",
                    "Seconds since a gateway's last exchange with Redis; 0 where nothing is shared. An alert fires "
                    "above 10.",
                    [Query('max by (instance) (thinkgate_state_behind_seconds{job=~"$job"})', "{{instance}}")],
                    unit="s",
                    low=0,
                    width=5,
                ),
                Panel(
                    "Failed exchanges with Redis",
                    "Exchanges a second that failed. No request waits for them.",
                    [Query(f'sum by (kind) (rate(thinkgate_state_errors_total{{job=~"$job"}}{RATE}))', "{{kind}}")],
                    unit="reqps",
                    width=5,
                ),
                Panel(
                    "Keys of the token issuer",
                    "Fetches in an hour of the keys that tokens are signed with; none where no issuer is configured. "
                    "Keys that are known stay in force while fetches fail.",
                    [
                        Query(
                            'sum by (outcome) (increase(thinkgate_oidc_fetches_total{job=~"$job"}[1h]))', "{{outcome}}"
                        )
                    ],
                    width=5,
                ),
                Panel(
                    "Records lost",
                    "Requests a second that are missing in the decision log, the access log or the traces.",
                    [
                        Query(
                            f'sum by (cause) (rate(thinkgate_decisions_dropped_total{{job=~"$job"}}{RATE}))',
                            "decision log: {{cause}}",
                        ),
                        Query(
                            f'sum by (sink) (rate(thinkgate_observations_dropped_total{{job=~"$job"}}{RATE}))',
                            "{{sink}}",
                        ),
                    ],
                    unit="reqps",
                    width=5,
                ),
            ],
        ),
        Row(
            "As vLLM sees itself · vLLM 视角",
            [
                Panel(
                    "Running",
                    "Requests that vLLM is generating for. Needs Prometheus to scrape the vLLM servers too.",
                    [Query("sum by (model_name) (vllm:num_requests_running)", "{{model_name}}")],
                    width=6,
                ),
                Panel(
                    "Waiting",
                    "Requests in vLLM's queue: where this stays above 0 the pool is too small or its limits too low.",
                    [Query("sum by (model_name) (vllm:num_requests_waiting)", "{{model_name}}")],
                    width=6,
                ),
                Panel(
                    "KV cache in use",
                    "Share of the blocks of the KV cache, the fullest replica of each model.",
                    [Query("max by (model_name) (vllm:kv_cache_usage_perc)", "{{model_name}}")],
                    unit="percentunit",
                    low=0,
                    high=1,
                    width=6,
                ),
                Panel(
                    "Generated tokens",
                    "Tokens a second.",
                    [Query(f"sum by (model_name) (rate(vllm:generation_tokens_total{RATE}))", "{{model_name}}")],
                    width=6,
                ),
            ],
        ),
    ],
)
