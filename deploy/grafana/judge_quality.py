"""The dashboard *Judge quality*: does the judge work, is it fast, and is today's traffic what it was calibrated for?"""

from deploy.grafana.panels import Dashboard, Panel, Query, Row

RATE = "[$__rate_interval]"
SHARE_THAT_THINKS = 'thinkgate:judged_think_ratio:rate{window}{{job=~"$job"}}'

JUDGE_QUALITY = Dashboard(
    "thinkgate-judge-quality",
    "ThinkGate / Judge quality",
    "Does the judge work, is it fast, and is today's traffic what it was calibrated for?",
    [
        Row(
            "Drift · 漂移",
            [
                Panel(
                    "Distance from calibration",
                    "Largest difference between the share of scores below any bound in the last six hours and in the "
                    "calibration traffic: 0 where they are the same, 1 where they have nothing in common. Traffic of "
                    "your own always differs somewhat; calibrate on it, and watch for changes.",
                    [Query('thinkgate:judge_score:drift_from_calibration{job=~"$job"}', "{{job}}")],
                    "stat",
                    "percentunit",
                    6,
                ),
                Panel(
                    "Distance from the week",
                    "The same between the last six hours and the last seven days.",
                    [Query('thinkgate:judge_score:drift_from_week{job=~"$job"}', "{{job}}")],
                    "stat",
                    "percentunit",
                    6,
                ),
                Panel(
                    "Distances over time",
                    "An alert fires where the distance from the week stays above 0.15.",
                    [
                        Query('thinkgate:judge_score:drift_from_calibration{job=~"$job"}', "from calibration"),
                        Query('thinkgate:judge_score:drift_from_week{job=~"$job"}', "from the week"),
                    ],
                    low=0,
                ),
                Panel(
                    "Share of scores below each bound, now",
                    "Cumulative distribution of the last six hours' scores.",
                    [Query('avg by (le) (thinkgate:judge_score:cdf_rate6h{job=~"$job"})', "{{le}}", instant=True)],
                    "bargauge",
                    "percentunit",
                    low=0,
                    high=1,
                ),
                Panel(
                    "Share of scores below each bound, in calibration",
                    "Cumulative distribution of the scores that the judge was calibrated on.",
                    [Query("thinkgate:judge_score_reference:cdf", "{{le}}", instant=True)],
                    "bargauge",
                    "percentunit",
                    low=0,
                    high=1,
                ),
                Panel(
                    "Share that thinks, hour and day",
                    "Of the judge's own decisions. An alert fires where the two stay more than 0.15 apart.",
                    [
                        Query(SHARE_THAT_THINKS.format(window="1h"), "hour"),
                        Query(SHARE_THAT_THINKS.format(window="1d"), "day"),
                    ],
                    unit="percentunit",
                    low=0,
                    high=1,
                ),
                Panel(
                    "Mean score",
                    "A score is a probability: its mean is the share of requests expected to gain by thinking.",
                    [Query('thinkgate:judge_score:mean_rate1h{job=~"$job"}', "{{job}}")],
                    low=0,
                    high=1,
                ),
            ],
        ),
        Row(
            "Feedback · 反馈",
            [
                Panel(
                    "Good fits, day and week",
                    "Share of the verdicts on the mode that say it fitted; what failed for other reasons aside. An "
                    "alert fires where the day stays 0.15 below the week.",
                    [
                        Query('thinkgate:feedback_good_share:increase1d{job=~"$job"}', "day"),
                        Query('thinkgate:feedback_good_share:increase7d{job=~"$job"}', "week"),
                    ],
                    unit="percentunit",
                    low=0,
                    high=1,
                    width=8,
                ),
                Panel(
                    "Verdicts by mode",
                    "Verdicts in an hour. `underpowered` of instruct answers: the threshold is too high; "
                    "`overprovisioned` of thinking ones: too low.",
                    [
                        Query(
                            'sum by (mode, verdict) (increase(thinkgate_feedback_total{job=~"$job"}[1h]))',
                            "{{mode}}: {{verdict}}",
                        )
                    ],
                    stacked=True,
                    width=8,
                ),
                Panel(
                    "Explored",
                    "Decisions in an hour that chance turned round: what the judge may learn from.",
                    [Query('sum by (mode) (increase(thinkgate_explored_total{job=~"$job"}[1h]))', "{{mode}}")],
                    width=8,
                ),
                Panel(
                    "Shadows",
                    "Answers of the other mode in an hour, asked for once nobody waits, by what became of them. "
                    "`no_room` and `no_tokens` are those that the load or the budget did not let begin.",
                    [Query('sum by (outcome) (increase(thinkgate_shadows_total{job=~"$job"}[1h]))', "{{outcome}}")],
                    stacked=True,
                    width=8,
                ),
            ],
        ),
        Row(
            "Health · 健康",
            [
                Panel(
                    "Failures",
                    "Share of the requests meant for the judge that took the default mode because it failed.",
                    [Query('thinkgate:judge_failed_ratio:rate5m{job=~"$job"}', "{{job}}")],
                    unit="percentunit",
                    low=0,
                    width=8,
                ),
                Panel(
                    "Decisions by judge",
                    "Decisions a second, by the judge's name and version: a new version is seen to take over.",
                    [
                        Query(
                            f'sum by (judge) (rate(thinkgate_decisions_total{{job=~"$job",judge!=""}}{RATE}))',
                            "{{judge}}",
                        )
                    ],
                    unit="reqps",
                    width=8,
                ),
                Panel(
                    "Decisions lost",
                    "Decisions a second that the decision log could not keep: what cannot be evaluated later.",
                    [
                        Query(
                            f'sum by (cause) (rate(thinkgate_decisions_dropped_total{{job=~"$job"}}{RATE}))',
                            "{{cause}}",
                        )
                    ],
                    width=8,
                ),
            ],
        ),
    ],
)
