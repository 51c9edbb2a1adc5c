"""A study's results as they stood at one moment, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import pandas as pd

from bakeoff.analysis import costs, ranking
from bakeoff.analysis.budget import Budget, costs_of
from bakeoff.analysis.certainty import with_intervals
from bakeoff.analysis.contenders import Contender, contenders
from bakeoff.analysis.cube import Cube, load_cube
from bakeoff.analysis.progress import Progress, progress_of
from bakeoff.analysis.recommendation import Recommendation, recommend
from bakeoff.analysis.verdict import Verdict, judge
from bakeoff.audit import Finding, Ranking, unranked
from bakeoff.audit.kept import AuditResult
from bakeoff.cost_records import Cost, known_costs
from bakeoff.errors import StudyError
from bakeoff.records import RunStatus
from bakeoff.store import Store
from bakeoff.study.folder import Study, is_claimed, predictions_path

STATISTICS = frozenset({"S1", "S2", "S3", "S4", "S5", "S6"})
"""The audit's rules on statistics: they take a candidate out of the ranking, and not out of the comparison."""


class Reading:
    """A study's results as they stood at one moment: read once, so that all that is told of them agrees.

    What follows from them is worked out when it is first asked for, and kept.

    Three verdicts differ in whom they leave out. `verdict` is the one that is told: candidates with an open error of the
    audit are not judged, those with an error on the statistics alone are compared but not ranked. `verdict_before_audit`
    judges everybody; most rules ask about it. `verdict_without` leaves given candidates out and needs no findings; rules
    about what the verdict tells ask about it.
    """

    def __init__(self, study: Study, store: Store) -> None:
        """Read a study's results.

        Args:
            study: Whose results they are.
            store: Its database.
        """
        self.study = study
        self.runs: pd.DataFrame = store.runs_frame()
        """One row a run."""
        self.epochs: pd.DataFrame = store.epochs_frame()
        """One row an epoch record."""
        self.measured = store.costs()
        """What candidates cost as the database has it, by candidate id."""
        self.costs: dict[str, Cost] = known_costs(self.measured)
        """What candidates cost, by id; nothing of those not measured."""
        self.progress: Progress = progress_of(self.runs, at_work=is_claimed(study.folder))
        """How many runs have ended, and whether a driver is at work on the others."""

    @cached_property
    def audit_result(self) -> AuditResult:
        """What the audit says, and whether it is what another version of bakeoff said."""
        from bakeoff.study.auditing import findings_of  # torch loads with it

        self.study.audit_result = findings_of(self, self.study.audit_result)
        return self.study.audit_result

    @property
    def findings(self) -> list[Finding]:
        """What the audit says, what fires first."""
        return self.audit_result.findings

    def unranked(self, by: Ranking = Ranking.ACCURACY) -> dict[str, str]:
        """Return the candidates that open errors of the audit take out of a ranking, by id, with the reason."""
        return unranked(self.findings, self._candidates, by)

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """One row a candidate, best first, those that are not ranked last; see `analysis.ranking.rank`."""
        return ranking.rank(self.runs, self.epochs, self.unranked())

    @cached_property
    def table(self) -> pd.DataFrame:
        """The ranking with intervals of accuracies, and costs; see `Study.table`."""
        try:
            known = self.contenders
        except StudyError:  # runs on different pictures: the verdict says so, and the rest is shown all the same
            known = contenders(self.ranking, self.runs, self.epochs, Cube.empty())
        return with_intervals(ranking.with_costs(self.ranking, self.costs), known)

    @cached_property
    def cube(self) -> Cube:
        """Which test pictures each finished run got right.

        Raises:
            StudyError: If runs were tested on different pictures.
        """
        done = self.runs[self.runs["status"] == RunStatus.DONE]
        accuracies = {str(run["run_id"]): float(run["test_accuracy"]) for run in done.to_dict("records")}
        return load_cube({run: predictions_path(self.study.folder, run) for run in accuracies}, accuracies)

    @cached_property
    def contenders(self) -> list[Contender]:
        """The candidates with what the statistics need of them, in the order of the ranking.

        Raises:
            StudyError: If runs were tested on different pictures.
        """
        return contenders(self.ranking, self.runs, self.epochs, self.cube)

    @property
    def remarks(self) -> list[str]:
        """What a reader of the table must know of how it came about."""
        labels = dict(zip(self.runs["candidate_id"], self.runs["label"], strict=True))
        named = {label: self.costs[candidate] for candidate, label in labels.items() if candidate in self.costs}
        return ranking.remarks(self.runs, self.epochs) + costs.remarks(named)

    @cached_property
    def verdict(self) -> Verdict:
        """What the study shows about its candidates' accuracy, on the terms that it declares.

        Raises:
            StudyError: If runs were tested on different pictures.
        """
        return self.judged()

    def judged(self, *, excluded: Mapping[str, str] | None = None, smallest_difference: float | None = None) -> Verdict:
        """Return the verdict on other terms than those that the study declares; see `Study.verdict`."""
        not_ranked: Mapping[str, str] = {}
        if excluded is None:
            not_ranked = self.unranked()
            excluded = {one: not_ranked[one] for one in self.excluded_by(self.findings)}
        if not excluded and not not_ranked and smallest_difference is None:
            return self.verdict_before_audit
        return self._judge(self.contenders, excluded, not_ranked, smallest_difference)

    @cached_property
    def verdict_before_audit(self) -> Verdict:
        """The verdict on everybody, which most of the audit's rules ask about.

        Raises:
            StudyError: If runs were tested on different pictures.
        """
        return self._judge(self._all_contenders, {}, {}, None)

    def excluded_by(self, findings: Iterable[Finding]) -> dict[str, str]:
        """Return the candidates that errors of other kinds than statistics take out of the comparison, with the reason."""
        return unranked([finding for finding in findings if finding.rule not in STATISTICS], self._candidates)

    def verdict_without(self, excluded: Mapping[str, str]) -> Verdict:
        """Return the verdict on the others, which needs no findings: rules on what the verdict tells ask about it.

        Args:
            excluded: Candidates by id, with the reason.

        Raises:
            StudyError: If runs were tested on different pictures.
        """
        return self._judge(self._all_contenders, excluded, {}, None)

    @cached_property
    def _all_contenders(self) -> list[Contender]:
        return contenders(ranking.rank(self.runs, self.epochs), self.runs, self.epochs, self.cube)

    def _judge(
        self,
        known: list[Contender],
        excluded: Mapping[str, str],
        unranked: Mapping[str, str],
        smallest_difference: float | None,
    ) -> Verdict:
        declared = self.study.spec.audit.smallest_difference
        names = {run["run_id"]: f"{run['label']} seed {run['seed']}" for run in self.runs.to_dict("records")}
        return judge(
            known,
            excluded=excluded,
            unranked=unranked,
            smallest_difference=declared if smallest_difference is None else smallest_difference,
            sequential=self.study.spec.sequential,
            ranked_by=ranking.ranked_by(self.epochs),
            missing=[f"{names[run]}: {reason}" for run, reason in self.cube.missing.items()],
            progress=self.progress,
        )

    @cached_property
    def recommendation(self) -> Recommendation:
        """Which candidate to use where nothing is limited.

        Raises:
            StudyError: If runs were tested on different pictures.
        """
        return self.recommended(self.verdict, Budget())

    def recommended(self, verdict: Verdict, budget: Budget) -> Recommendation:
        """Return which candidate to use under a budget; costs that the audit doubts count as not measured."""
        doubted = {one: why for one, why in self.unranked(Ranking.COST).items() if one in self.measured}
        trusted = {one: known for one, known in self.measured.items() if one not in doubted}
        noisy = [one for one, known in known_costs(trusted).items() if costs.noise_of(known)]
        return recommend(verdict, costs_of(self.table, trusted), budget, doubted=doubted, noisy=noisy)

    @property
    def _candidates(self) -> list[str]:
        return [candidate.id for candidate in self.study.spec.candidates]
