"""A judge of a few visible rules, without weights. Knows some words of some languages, and what maths looks like."""

import re
from math import exp
from typing import Final

from router.conversation import Conversation, head_and_tail
from router.judges.base import Feature, Judgement

_BIAS: Final = -1.6
_RULES: Final[tuple[tuple[str, float, str], ...]] = (
    (
        "asks for a proof or derivation",
        2.6,
        r"\b(?:prove|proof|disprove|derive|show that|démontrer|prouver|demuestr\w*|beweis\w*|"
        r"докаж\w*|докажи\w*)\b|证明|證明|求证|推导|証明せよ|증명",
    ),
    (
        "asks for all solutions, a count or an extremum",
        1.8,
        r"\b(?:find all|how many (?:ways|integers|pairs|positive|different|distinct)|determine all|"
        r"minimum value|maximum value|smallest"
        r" positive|largest integer|remainder when|probability that)\b|最小值|最大值|多少种|概率|余数|求所有",
    ),
    (
        "mathematics",
        1.6,
        r"\\(?:frac|sum|int|sqrt|cdot|leq|geq|binom|mathbb)|\$[^$\n]{1,120}\$|[a-z]\^\d|"
        r"\b(?:polynomial|integral|matrix|eigenvalue|modulo"
        r"|prime numbers?|triangle|equation|theorem)\b|方程|函数|多项式|三角形|积分|矩阵|数列",
    ),
    (
        "a puzzle, plan or chain of deductions",
        2.0,
        r"\b(?:puzzle|sudoku|knights? and knaves?|truth-?tellers?|liars?|deduce|logically|"
        r"constraints?|schedule|optimal|optimi[sz]e|plan"
        r" (?:a|the)|step[- ]by[- ]step|strategy|clues?)\b|推理|逻辑|谜题|约束|最优|规划|调度",
    ),
    (
        "hard programming",
        1.3,
        r"\b(?:algorithm|time complexity|dynamic programming|deadlock|race condition|concurren\w+|"
        r"refactor|debug|implement|leetcode"
        r"|codeforces)\b|算法|复杂度|动态规划|死锁|并发|重构",
    ),
    (
        "translation, summary, extraction or rewriting",
        -2.2,
        r"\b(?:translate|summari[sz]e|tl;?dr|extract|rewrite|paraphrase|classify|proofread|"
        r"rephrase|list the names)\b|翻译|总结|摘要|概括|提取|改写|润色|分类|翻訳|要約|번역|요약",
    ),
    (
        "small talk or a look-up",
        -1.6,
        r"^\W*(?:hi|hello|hey|thanks?|thank you|good (?:morning|evening)|who|when|where|what(?:'s|"
        r" is) (?:the )?(?:weather|capital|time))\b"
        r"|你好|谢谢|您好|天气|在哪|是谁|什么时候|こんにちは|ありがとう|안녕",
    ),
)
_COMPILED: Final = tuple((name, push, re.compile(pattern, re.IGNORECASE)) for name, push, pattern in _RULES)


class HeuristicJudge:
    """Adds up the pushes of the rules that match; for comparison, and for when weights cannot be read."""

    name = "heuristic"
    version = "1"

    def score(self, conversation: Conversation) -> Judgement:
        """The logistic of the summed pushes; a guess, not a calibrated probability."""
        return Judgement(_logistic(_BIAS + sum(push for _, push in _matches(conversation))), self.version)

    def explain(self, conversation: Conversation) -> Judgement:
        """The same score and the rules that matched."""
        matches = sorted(_matches(conversation), key=lambda match: -abs(match[1]))
        score = _logistic(_BIAS + sum(push for _, push in matches))
        return Judgement(score, self.version, tuple(Feature(name, push) for name, push in matches))


def _matches(conversation: Conversation) -> list[tuple[str, float]]:
    text = head_and_tail(conversation.work, 1200, 800)
    return [(name, push) for name, push, pattern in _COMPILED if pattern.search(text)]


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + exp(-value))
