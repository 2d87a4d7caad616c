"""Minimise a smooth convex function of many variables. Knows no model.

Limited-memory BFGS (Nocedal & Wright, "Numerical Optimization", algorithm 7.4) with a backtracking line search. SciPy's
own handles bounds at every step, which at 200,000 variables costs ten times what the function does.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def minimise(
    function: Callable[[Vector], tuple[float, Vector]],
    start: Vector,
    iterations: int,
    memory: int = 8,
    tolerance: float = 1e-6,
) -> Vector:
    """The best point after at most `iterations` steps, or once a step gains less than `tolerance` of the value."""
    point = start
    value, gradient = function(point)
    pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=memory)
    for _ in range(iterations):
        direction = -_inverse_hessian_times(gradient, pairs)
        slope = float(direction @ gradient)
        if slope >= 0:
            pairs.clear()
            direction, slope = -gradient, -float(gradient @ gradient)
        if slope == 0:
            break
        step = 1.0 if pairs else min(1.0, 1.0 / float(np.sqrt(-slope)))
        while True:
            trial = point + step * direction
            trial_value, trial_gradient = function(trial)
            if trial_value <= value + 1e-4 * step * slope or step < 1e-12:
                break
            step *= 0.5
        moved, turned = trial - point, trial_gradient - gradient
        curvature = float(moved @ turned)
        if curvature > 1e-12 * float(turned @ turned):
            pairs.append((moved, turned, 1.0 / curvature))
        gained = value - trial_value
        point, value, gradient = trial, trial_value, trial_gradient
        if gained <= tolerance * max(1e-12, abs(value)):
            break
    return point


def _inverse_hessian_times(gradient: Vector, pairs: deque[tuple[Vector, Vector, float]]) -> Vector:
    direction = gradient.copy()
    alphas = []
    for moved, turned, rho in reversed(pairs):
        alpha = rho * float(moved @ direction)
        direction -= alpha * turned
        alphas.append(alpha)
    if pairs:
        moved, turned, rho = pairs[-1]
        direction *= 1.0 / (rho * float(turned @ turned))
    for (moved, turned, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        direction += (alpha - rho * float(turned @ direction)) * moved
    return direction
