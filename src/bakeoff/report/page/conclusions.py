"""What is said of a study at the top of its page."""

from __future__ import annotations

from dataclasses import dataclass

from bakeoff.analysis.progress import Progress
from bakeoff.analysis.recommendation import Recommendation
from bakeoff.analysis.wording import left_out, on_p_values
from bakeoff.words import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusions:
    """The verdict and what follows from it, in sentences; none of them stands twice."""

    progress: tuple[str, ...]
    """How many runs have ended; nothing once all have."""

    verdict: tuple[str, ...]
    """Who is better, or why there is no winner."""

    advice: tuple[str, ...] = ()
    """What to use, beyond what the verdict says."""

    left_out: tuple[str, ...] = ()
    """Who is not ranked or not judged, and why."""

    on_p_values: str = ""
    """How a p value and the interval beside it go together; nothing where no p value is told."""


def conclusions_of(found: Recommendation | None, why_none: str | None, progress: Progress) -> Conclusions:
    """Return what is said of a study.

    Args:
        found: The recommendation without limits; None where nothing can be judged.
        why_none: Why there is none.
        progress: How many runs have ended.
    """
    begun = tuple(progress.sentences())
    if found is None:
        reason = (why_none or "nothing can be judged").rstrip(".")
        return Conclusions(progress=begun, verdict=(clean(f"There is no verdict: {reason}."),))
    sentences, left = found.verdict.sentences(), left_out(found.verdict)
    return Conclusions(
        progress=begun,
        verdict=tuple(clean(one) for one in sentences if one not in (*begun, *left)),
        advice=tuple(clean(one) for one in found.sentences() if one not in sentences),
        left_out=tuple(clean(one) for one in left),
        on_p_values=on_p_values(found.verdict),
    )
