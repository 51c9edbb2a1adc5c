"""What a rule of the audit is, and how it speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bakeoff.audit.finding import Finding, Ranking, Severity, State


class Stage(StrEnum):
    """When a rule can first be asked."""

    BEFORE = "before training"
    AFTER = "after training"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: what it is about, what it needs to know, and the function that looks."""

    id: str
    """Such as `D1`; what `despite` and `silence` name."""

    title: str
    """A few words, such as `field of view`."""

    stage: Stage
    severity: Severity
    """The worst that it can be."""

    blocks: str
    """The claim that does not hold while it fires."""

    needs: tuple[str, ...]
    """The fields of `Evidence` that `check` takes, as keyword arguments; while one is absent, the rule is not run."""

    check: Callable[..., Iterable[Finding]]
    """The function from evidence to findings: none where all is well, or findings made with `fires`, `passes`, `not_run`."""

    uses: tuple[str, ...] = ()
    """Further fields, which `check` takes as None where they are absent."""

    stops: bool = False
    """Whether an error, known before training, makes training a waste."""

    ranking: Ranking = Ranking.ACCURACY
    """Which ranking the candidates touched by an error leave."""

    def fires(
        self,
        severity: Severity,
        message: str,
        *,
        candidates: Iterable[str] = (),
        evidence: Mapping[str, float | int | str | bool | None] | None = None,
        threshold: str = "",
        advice: str = "",
    ) -> Finding:
        """Return a finding of this rule; without candidates it is about the study as a whole."""
        return Finding(
            rule=self.id,
            title=self.title,
            state=State.FIRES,
            severity=severity,
            message=message,
            candidates=tuple(candidates),
            evidence=dict(evidence or {}),
            threshold=threshold,
            blocks=self.blocks,
            advice=advice,
            ranking=self.ranking,
        )

    def passes(
        self,
        message: str = "",
        *,
        evidence: Mapping[str, float | int | str | bool | None] | None = None,
        threshold: str = "",
    ) -> Finding:
        """Return that all is well."""
        return self._quiet(State.PASS, message, evidence=evidence, threshold=threshold)

    def not_run(self, why: str, *, candidates: Iterable[str] = ()) -> Finding:
        """Return that the rule could not be asked, of these candidates or at all, and why."""
        return self._quiet(State.NOT_RUN, why, candidates)

    def _quiet(
        self,
        state: State,
        message: str,
        candidates: Iterable[str] = (),
        evidence: Mapping[str, float | int | str | bool | None] | None = None,
        threshold: str = "",
    ) -> Finding:
        return Finding(
            rule=self.id,
            title=self.title,
            state=state,
            severity=self.severity,
            message=message,
            candidates=tuple(candidates),
            evidence=dict(evidence or {}),
            threshold=threshold,
            blocks=self.blocks,
            ranking=self.ranking,
        )


def rule(
    id: str,
    title: str,
    *,
    stage: Stage,
    severity: Severity,
    blocks: str,
    needs: tuple[str, ...],
    uses: tuple[str, ...] = (),
    stops: bool = False,
    ranking: Ranking = Ranking.ACCURACY,
) -> Callable[[Callable[..., Iterable[Finding]]], Rule]:
    """Make a function the `check` of a rule, as a decorator; for the arguments see `Rule`."""

    def of(check: Callable[..., Iterable[Finding]]) -> Rule:
        return Rule(
            id=id,
            title=title,
            stage=stage,
            severity=severity,
            blocks=blocks,
            needs=needs,
            check=check,
            uses=uses,
            stops=stops,
            ranking=ranking,
        )

    return of
