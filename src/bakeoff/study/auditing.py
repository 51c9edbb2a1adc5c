"""Auditing a study: before it is trained, at its end, and from its folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from bakeoff.audit import Finding, Rule, Severity, Stage, audit, in_order, kept, open_errors, rules
from bakeoff.audit.evidence import Probes
from bakeoff.audit.kept import AuditResult
from bakeoff.audit.registry import added
from bakeoff.data.splits import split_indices
from bakeoff.errors import AuditError, BakeoffError, SpecError, StudyError
from bakeoff.flags import adapted_spec
from bakeoff.records import OnStage, RunStatus
from bakeoff.spec import ResolvedStudy, StudySpec, content_id, labels
from bakeoff.store import Store
from bakeoff.study.evidence import baseline, by_heart, gather, repeated
from bakeoff.study.evidence.assembly import evidence_after, evidence_before
from bakeoff.study.folder import DATABASE, Study, claimed, predictions_path
from bakeoff.study.planned import Plan
from bakeoff.study.planning import plan_folder, plan_to_look_at
from bakeoff.study.reading import Reading

PROBES = "probes"
FINDINGS = "findings"
"""The keys under which a study's database keeps what was measured for the audit, and what it found."""

OF_THE_VERDICT = frozenset({"S2", "S3", "S5", "S6"})
"""Rules about the verdict as it is told, which leaves out candidates that an error of another kind touches."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What the audit says, and of what."""

    study: ResolvedStudy
    labels: Mapping[str, str]
    findings: list[Finding]
    found_before: str = ""
    """Which other version of bakeoff found them, and why they were not asked again; nothing if they are of this one."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What is known of a study before it is trained."""

    probes: Probes
    findings: list[Finding]
    """Findings of the rules that can be asked before training."""


def examine(planned: Plan, on_stage: OnStage | None = None) -> Examination:
    """Audit a planned study before anything is trained.

    What was measured of it before and is kept in its folder is not measured again.

    Raises:
        SpecError: If the study names a rule, in `despite` or `silence`, that there is not.
    """
    asked = rules()
    check_names(planned.study, asked)
    probes = kept_probes(planned.folder) or gather(planned, on_stage)
    return Examination(probes, audit(evidence_before(planned, probes), of=asked, stage=Stage.BEFORE))


def check_names(study: StudySpec | ResolvedStudy, asked: Sequence[Rule]) -> None:
    """Check that the rules which a study names exist.

    Raises:
        SpecError: If one does not.
    """
    known = [one.id for one in asked]
    for key, names in (("despite", study.audit.despite), ("silence", study.audit.silence)):
        for name in names:
            if name not in known:
                raise SpecError(
                    f"`audit.{key}` must name rules, but there is no rule '{name}' (there are: {', '.join(known)})"
                )


def told(findings: Sequence[Finding]) -> list[str]:
    """Return what the user should hear of an audit at once: open errors and warnings, one sentence or two each."""
    return [
        f"{one.rule} {one.title} ({one.severity}): {one.message}"
        for one in findings
        if one.open and one.severity is not Severity.NOTE
    ]


def stop_if_wasted(planned: Plan, findings: Sequence[Finding]) -> None:
    """Refuse to train a study whose results would say nothing.

    Raises:
        AuditError: If an error that makes training a waste touches what is to be trained, and `despite` does not name it.
    """
    stopping = {one.id for one in rules() if one.stops}
    wanted = {run.candidate.id for run in planned.runs()}
    left = [
        finding
        for finding in open_errors(findings)
        if finding.rule in stopping
        and finding.rule not in planned.study.audit.despite
        and (not finding.candidates or wanted & set(finding.candidates))
    ]
    if left:
        told = "\n".join(f"  {one.rule} {one.title}: {one.message} {one.advice}" for one in left)
        names = ",".join(dict.fromkeys(one.rule for one in left))
        raise AuditError(
            f"results must be able to say something, but the audit found errors that make training a waste:\n{told}\n"
            f"mend them, or train all the same with --despite {names} (or `despite` in [audit]); the findings stay with the results"
        )


def conclude(planned: Plan, store: Store, probes: Probes) -> list[Finding]:
    """Audit a study at the end of a command that ran it, and keep what was found with it."""
    trained = bool((store.runs_frame()["status"] == RunStatus.DONE).any())
    probes = _completed(planned, probes, trained=trained, deep=False, on_stage=None)
    store.set_note(PROBES, kept.probes_to_json(probes))
    reading = Reading(Study(planned.folder), store)
    findings = _found(reading, probes, "")
    store.set_note(FINDINGS, kept.findings_to_json(findings, _state_of(reading)))
    return findings


def findings_of(reading: Reading, known: AuditResult | None = None) -> AuditResult:
    """Return what the audit says of a study: what it said before, where nothing has changed since.

    Where another version of bakeoff measured the study, it is what that version said; `audit_folder` measures anew.

    Args:
        reading: The study as it stands.
        known: What this returned before, if it did.
    """
    state = _state_of(reading)
    if known is not None and known.of == state:
        return known
    with Store.open_read_only(reading.study.folder / DATABASE) as store:
        said, measured = store.note(FINDINGS), store.note(PROBES)
    findings = kept.findings_from_json(said, state)
    if findings is not None:
        return AuditResult(state, findings)
    anew = "`bakeoff audit` measures anew where the pictures can be found"
    if (earlier := _of_another_version(said, measured, anew)) is not None:
        return earlier._replace(of=state)
    probes = kept.probes_from_json(measured)
    return AuditResult(state, _found(reading, probes, "it was run before bakeoff kept what it measures"))


def _found(reading: Reading, probes: Probes | None, why: str) -> list[Finding]:
    """Ask every rule about a study's folder, those on what the verdict tells about the candidates that it is on.

    Args:
        reading: The study as it stands.
        probes: What was measured of it, if it was.
        why: Why it was not.
    """
    evidence = evidence_after(reading, probes, why)
    found = audit(evidence)
    out = reading.excluded_by(found)
    if not out or evidence.verdict is None:
        return found
    known = rules()
    among = replace(evidence, verdict=reading.verdict_without(out))
    anew = audit(among, of=[one for one in known if one.id in OF_THE_VERDICT], stage=Stage.AFTER)
    places = {one.id: place for place, one in enumerate(known)}
    merged = [*anew, *(finding for finding in found if finding.rule not in OF_THE_VERDICT)]
    return in_order(sorted(merged, key=lambda finding: places.get(finding.rule, len(places))))


def _of_another_version(said: str | None, measured: str | None, anew: str) -> AuditResult | None:
    """Return what another version of bakeoff found in what it measured, which cannot be asked anew but must not be lost.

    Args:
        said: The note of findings.
        measured: The note of probes.
        anew: What is to be said of measuring anew.

    Returns:
        None where there is no such thing: nothing was measured, or what was measured can be read.
    """
    findings = kept.findings_from_json(said)
    if said is None or findings is None or measured is None or kept.probes_from_json(measured) is not None:
        return None
    here, finder = version("bakeoff"), kept.finder_of(said)
    by = "another version of bakeoff" if finder in (None, here) else f"bakeoff {finder}"
    told = f"Found by {by}; not asked again, because bakeoff {here} cannot read what that one measured ({anew})."
    return AuditResult("", findings, told)


def audit_file(
    path: Path,
    *,
    data: str | None = None,
    deep: bool = False,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    on_stage: OnStage | None = None,
) -> Audited:
    """Audit a study file as far as that is possible before it is run.

    Args:
        path: Of the study file.
        data: Pictures to use instead of those that it names.
        deep: Whether to try, too, if each network can learn a few pictures by heart, and if a seed decides its numbers.
        data_dir: Where downloaded data sets are kept.
        cache_dir: Where decoded pictures are kept.
        on_stage: Told of the progress.

    Raises:
        SpecError: If something in it does not exist or cannot be combined.
        DataError: If the pictures cannot be used.
    """
    spec, _ = adapted_spec(path, data=data)
    check_names(spec, rules())
    planned = plan_to_look_at(spec, data_dir=data_dir, cache_dir=cache_dir, on_stage=on_stage)
    probes = gather(planned, on_stage)
    if deep:
        probes = _deeper(planned, probes, on_stage)
    return Audited(planned.study, planned.labels, audit(evidence_before(planned, probes), stage=Stage.BEFORE))


def audit_folder(
    folder: Path,
    *,
    deep: bool = False,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    on_stage: OnStage | None = None,
) -> Audited:
    """Audit a study's folder anew, and keep what was found with it where it can be written to.

    What was not measured when the study was run is measured now, if its pictures can be found.

    Args:
        folder: Of the study.
        deep: As `audit_file`.
        data_dir: As `audit_file`.
        cache_dir: As `audit_file`.
        on_stage: As `audit_file`.

    Raises:
        StudyError: If it is no study folder.
    """
    study, why = Study(folder), ""
    with Store.open_read_only(folder / DATABASE) as store:
        said, measured = store.note(FINDINGS), store.note(PROBES)
        trained = bool((store.runs_frame()["status"] == RunStatus.DONE).any())
    probes = kept.probes_from_json(measured)
    if probes is None or (trained and probes.baseline is None) or (deep and not _deep(probes)):
        try:
            planned = plan_folder(folder, data_dir=data_dir, cache_dir=cache_dir, on_stage=on_stage)
            probes = _completed(planned, probes, trained=trained, deep=deep, on_stage=on_stage)
        except BakeoffError as error:
            why = str(error)
    if probes is None and (earlier := _of_another_version(said, measured, why.rstrip("."))) is not None:
        return Audited(study.spec, labels(study.spec.candidates), earlier.findings, earlier.found_before)
    reading = study.reading()
    findings = _found(reading, probes, why)
    with contextlib.suppress(StudyError), claimed(folder), Store.create_or_open(folder / DATABASE) as store:
        if probes is not None:
            store.set_note(PROBES, kept.probes_to_json(probes))
        store.set_note(FINDINGS, kept.findings_to_json(findings, _state_of(reading)))
    return Audited(study.spec, labels(study.spec.candidates), findings)


def _completed(planned: Plan, probes: Probes | None, *, trained: bool, deep: bool, on_stage: OnStage | None) -> Probes:
    """Return what was measured of a study, with what is still missing of it."""
    probes = probes or gather(planned, on_stage)
    if trained and probes.baseline is None:
        indices = split_indices(planned.dataset, planned.study.runs()[0])
        probes = replace(probes, baseline=baseline(planned.dataset, indices))
    return _deeper(planned, probes, on_stage) if deep else probes


def _deep(probes: Probes) -> bool:
    """Return whether what takes minutes was tried."""
    return probes.one_batch is not None and probes.repeats is not None


def _deeper(planned: Plan, probes: Probes, on_stage: OnStage | None) -> Probes:
    """Return what was measured of a study with what takes minutes."""
    if probes.one_batch is None:
        probes = replace(probes, one_batch=by_heart(planned, on_stage))
    if probes.repeats is None:
        probes = replace(probes, repeats=repeated(planned, on_stage))
    return probes


def kept_probes(folder: Path) -> Probes | None:
    """Return what was measured of a study when it was begun, or None where there is nothing."""
    if not (folder / DATABASE).is_file():
        return None
    try:
        with Store.open_read_only(folder / DATABASE) as store:
            return kept.probes_from_json(store.note(PROBES))
    except StudyError:
        return None  # whoever opens the database to write to it says what is wrong with it


def _bytes_predicted(reading: Reading, run: str) -> int | None:
    """Return the size of the file of a run's predictions, which may be cut off or lost; None where there is none."""
    path = predictions_path(reading.study.folder, run)
    return path.stat().st_size if path.is_file() else None


def _state_of(reading: Reading) -> str:
    """Return a name of what findings depend on: the rules, what was declared, how each run stands, what was measured."""
    runs = zip(*(reading.runs[name] for name in ("run_id", "status", "finished_at")), strict=True)
    standing = [[run, status, str(finished), _bytes_predicted(reading, run)] for run, status, finished in runs]
    declared = reading.study.spec.audit.model_dump(mode="json")
    asked = [kept.FINDINGS_FORMAT, added()]
    return content_id([asked, declared, standing, json.dumps(reading.measured, sort_keys=True)])
