"""Everything that the judge is trained on: capped data, written prompts, compositions. Knows weights; fits nothing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from router.training.compose import COMPOSED_DOMAIN, ORDERS, disguised, long_easy, ordered
from router.training.compose import SOURCE as COMPOSED
from router.training.dataset import CAP, balanced, capped
from router.training.examples import Example
from router.training.templates.generate import SOURCE as TEMPLATES
from router.training.templates.generate import paragraph_examples, puzzle_examples, template_examples

TEMPLATE_WEIGHT: Final = 4.0
"""How much a template's example counts beside one of a data set: templates cover what no data set does."""

EXTRA_WEIGHT: Final = 4.0
"""How much an `extra` example counts: the user's own traffic is what the judge will see."""

ORDER_WEIGHT: Final = 2.0
"""How much an order about another example's text counts: only these teach that the order decides."""

EXAM_WEIGHT: Final = 0.5
"""How much a multiple-choice exam question counts: there are many of them, and few come to a gateway."""


def assemble(examples: Sequence[Example], extra: Sequence[Example] = ()) -> list[Example]:
    """Everything that is trained on: capped examples, templates, compositions of both, `extra`; weights balanced."""
    kept = capped(examples, CAP)
    made = [
        *template_examples(),
        *paragraph_examples(),
        *puzzle_examples(),
        *long_easy(kept, len(kept) // 12),
        *ordered(kept, len(kept) // 4),
        *disguised(kept, len(kept) // 8),
    ]
    own = [replace(example, weight=EXTRA_WEIGHT, facts={**example.facts, "extra": "yes"}) for example in extra]
    weighed = [replace(example, weight=example.weight * _share(example)) for example in balanced([*kept, *made])]
    return [*weighed, *own]


def is_generated(example: Example) -> bool:
    """Whether an example is trained on but never measured on: templates, compositions, `extra`."""
    return example.source in (TEMPLATES, COMPOSED, ORDERS) or "extra" in example.facts


def _share(example: Example) -> float:
    if example.source == TEMPLATES:
        return TEMPLATE_WEIGHT
    domain = example.domain.removeprefix(COMPOSED_DOMAIN)
    share = EXAM_WEIGHT if domain.startswith(("exam/", "medicine")) else 1.0
    return share * ORDER_WEIGHT if example.source == ORDERS else share
