"""How long is measured: the protocol in full, or in short."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Span:
    """How often something is timed in one turn: until both least values are reached, or the most seconds have passed."""

    calls: int
    seconds: float
    most_seconds: float

    def over(self, calls: int, seconds: float) -> bool:
        """Whether so many calls in so many seconds are enough; one at least always is made."""
        return calls > 0 and ((calls >= self.calls and seconds >= self.seconds) or seconds >= self.most_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured of each candidate."""

    name: str
    rounds: int
    """Turns that candidates take one after the other, so that drift meets all alike."""

    warm_up: Span
    """Warming up before the latency of the first turn; a later turn has a fifth of it, since the caches are another's."""

    latency: Span
    """Timing calls in one turn."""

    train_warm_up: int
    """Steps before the first one that counts; the peak of memory is taken over them."""

    train: Span
    """Steps of one turn."""

    batch: Span
    """Timing each batch size that is tried, and the best one in each turn."""

    largest_batch: int
    energy_seconds: float
    """Length of the window over which a counter is read."""

    @property
    def later_warm_up(self) -> Span:
        """Of the turns after the first."""
        first = self.warm_up
        return Span(max(3, first.calls // 5), first.seconds / 5, first.most_seconds / 5)

    def in_rounds(self, rounds: int) -> Effort:
        """Return the same effort in another number of turns: as many calls in all."""
        share = self.rounds / rounds
        return replace(self, rounds=rounds, latency=_scaled(self.latency, share), train=_scaled(self.train, share))


def _scaled(span: Span, share: float) -> Span:
    return Span(math.ceil(span.calls * share), span.seconds * share, span.most_seconds * share)


FULL = Effort(
    name="full",
    rounds=5,
    warm_up=Span(10, 0.5, 10.0),
    latency=Span(40, 0.4, 20.0),  # in all at least 200 calls and 2 s
    train_warm_up=10,
    train=Span(8, 0.0, 60.0),  # 10 before and 40 that count, as timm's benchmark.py has it
    batch=Span(5, 0.3, 10.0),
    largest_batch=4096,
    energy_seconds=10.0,
)

QUICK = Effort(
    name="quick",
    rounds=3,
    warm_up=Span(10, 0.1, 1.0),
    latency=Span(25, 0.1, 1.0),  # in all 75 calls, of which the 95th percentile has a bound on both sides
    train_warm_up=2,
    train=Span(3, 0.2, 0.4),
    batch=Span(1, 0.05, 0.3),
    largest_batch=64,
    energy_seconds=1.0,
)
