"""How a study was made, as pairs of what and how."""

from __future__ import annotations

from collections.abc import Iterator

from bakeoff.report.page.material import Material
from bakeoff.report.page.words import shown
from bakeoff.words import plural

UNKNOWN = "not recorded"


def origin_facts(material: Material) -> Iterator[tuple[str, str]]:
    """Yield what whoever repeats the study must know; what nobody wrote down is said not to be recorded."""
    study, made = material.study, material.made
    yield "Command", shown(made.command) if made.command else UNKNOWN
    yield "Git", shown(made.git) if made.git else UNKNOWN
    yield "Versions", ", ".join(f"{shown(name)} {shown(one)}" for name, one in made.versions.items()) or UNKNOWN
    yield "Hardware", shown(made.hardware) if made.hardware else UNKNOWN
    yield "Trained", _when(made.started, made.finished)
    yield "Data", f"{shown(study.source)}, pictures of {study.size} pixels, fingerprint {shown(study.fingerprint)}"
    yield "Validation split", f"{plural(study.validation, 'picture')}, split seed {study.split_seed}"
    yield "Seeds", ", ".join(str(seed) for seed in study.seeds) + _added(material)
    yield "Precision", study.precision
    yield "Smallest difference that counts", f"{100 * study.audit.smallest_difference:g} percentage points"


def _when(started: str | None, finished: str | None) -> str:
    if started is None:
        return UNKNOWN
    return f"from {started} to {finished} (UTC)" if finished else f"since {started} (UTC)"


def _added(material: Material) -> str:
    rounds = len(material.study.further_seeds)
    return f"; more were added to some candidates in {plural(rounds, 'round')}" if rounds else ""
