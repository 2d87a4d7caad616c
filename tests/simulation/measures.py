"""What stable means, in numbers. Knows series; knows no policy.

- A share **converges** when it comes within a tolerance of its target and stays there over every later window.
- A step's response does **not overshoot** when the mean over many seeds (which takes the noise out and leaves the law)
  goes beyond its final value by less than a stated part of the step.
- A series does **not oscillate** when its autocorrelation has no deep negative lobe: a swing of period P shows as a
  strong negative correlation at the lag P/2, whereas noise, drift and first-order lag show none.
"""

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
OSCILLATES_BELOW = -0.3
"""A pure sine wave has -1, white noise about 0."""


def windowed(values: Series, width: int) -> Series:
    """The mean of every `width` neighbouring values."""
    sums = np.cumsum(np.concatenate(([0.0], values)))
    return (sums[width:] - sums[:-width]) / width


def settled_after(share: Series, target: float, tolerance: float) -> int:
    """The number of values before the first from which on all lie within the tolerance; their count where none do."""
    outside = np.flatnonzero(np.abs(share - target) > tolerance)
    return int(outside[-1]) + 1 if len(outside) else 0


def overshoot(response: Series, before: float, after: float) -> float:
    """How far a step's response goes beyond its final value, as a part of the step."""
    return max(0.0, float(np.max((response - after) / (after - before))))


def deepest_correlation(series: Series, longest: int) -> float:
    """The lowest autocorrelation at lags from 1 to `longest`; 0 for a constant series."""
    deviation = series - series.mean()
    power = float(deviation @ deviation)
    if power < 1e-12:
        return 0.0
    size = 1 << (2 * len(series) - 1).bit_length()
    spectrum = np.fft.rfft(deviation, size)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum), size)[: longest + 1] / power
    return float(correlation[1:].min())


def oscillates(series: Series, longest: int) -> bool:
    """Does it swing, with a period of up to twice `longest` values?"""
    return deepest_correlation(series, longest) < OSCILLATES_BELOW


def binned(at_s: Series, values: Series, width_s: float) -> tuple[Series, Series]:
    """The middles of spans of time, and the mean of the values in each; empty spans are left out."""
    span = (at_s // width_s).astype(int)
    counts, sums = np.bincount(span), np.bincount(span, weights=values)
    filled = np.flatnonzero(counts)
    return (filled + 0.5) * width_s, sums[filled] / counts[filled]


def most_in_a_period(spent: list[tuple[float, int]], period_s: float) -> int:
    """The most tokens that any span of this length holds."""
    most = total = first = 0
    for at_s, tokens in spent:
        total += tokens
        while spent[first][0] <= at_s - period_s:
            total -= spent[first][1]
            first += 1
        most = max(most, total)
    return most
