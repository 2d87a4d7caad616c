"""Ridge regression in its dual form, strength chosen by exact leave-one-out. Knows matrices; knows no texts.

With a kernel K and a penalty p, predictions are H y with H = K (K + p I)^-1, and the prediction of a row by a model
that never saw it is (H y - h y) / (1 - h), h the row's own entry of H's diagonal (Hastie et al., section 7.10).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def left_out_errors(kernel: Matrix, targets: Vector, penalties: Sequence[float]) -> list[float]:
    """The mean squared leave-one-out error under each penalty."""
    values, vectors = eigh(kernel)
    values = np.maximum(values, 0.0)
    turned = vectors.T @ targets
    errors = []
    for penalty in penalties:
        shrink = values / (values + penalty)
        fitted = vectors @ (shrink * turned)
        own = np.minimum((vectors * vectors) @ shrink, 1.0 - 1e-9)
        errors.append(float(np.mean(((targets - fitted) / (1.0 - own)) ** 2)))
    return errors


def solve(kernel: Matrix, targets: Vector, penalty: float) -> Vector:
    """The dual weights: predictions of rows with cross kernel k are k @ weights."""
    ridged = kernel + penalty * np.eye(len(kernel))
    weights: Vector = cho_solve(cho_factor(ridged, lower=True, overwrite_a=True), targets)
    return weights
