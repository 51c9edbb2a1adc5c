"""What a study's classes are called, and what is taken for what."""

from __future__ import annotations

from bakeoff.analysis.per_class import ClassFacts, per_class
from bakeoff.study.folder import Study, predictions_path
from bakeoff.study.reading import Reading

CIFAR10_SIZE = 32
CIFAR10_CLASSES = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}


def class_facts_of(reading: Reading) -> list[ClassFacts]:
    """Return the confusion matrices of a study's candidates, with the names of its classes where they were kept."""
    runs, folder = reading.runs, reading.study.folder
    paths = {str(run): predictions_path(folder, str(run)) for run in runs["run_id"]}
    return per_class(runs, paths, class_names(reading.study))


def class_names(study: Study) -> tuple[str, ...]:
    """Return the names of a study's classes; nothing where they were not kept."""
    from bakeoff.study.auditing import kept_probes  # torch loads with it

    probes = kept_probes(study.folder)
    return () if probes is None else probes.data.classes


def of_cifar10(study: Study) -> bool:
    """Whether a study is of CIFAR-10: by its source, or of pictures of the same size and classes (such as a JPEG copy)."""
    if study.spec.source == "cifar10":
        return True
    return study.spec.size == CIFAR10_SIZE and set(class_names(study)) == CIFAR10_CLASSES
