"""What a study declares to the audit."""

from __future__ import annotations

import pytest

from bakeoff.errors import SpecError
from bakeoff.flags import adapted_spec
from bakeoff.spec import StudySpec


def test_a_study_declares_that_it_quotes_test_accuracy_and_compares_models_unless_it_says_otherwise() -> None:
    declared = StudySpec().audit
    assert (declared.headline, declared.subject, declared.smallest_difference) == ("test", ["model"], 0.005)
    assert not declared.despite
    assert not declared.silence


def test_a_list_of_rules_to_insist_on_gives_no_reasons() -> None:
    assert StudySpec.from_toml('[audit]\ndespite = ["D1", "D3"]').audit.despite == {"D1": "", "D3": ""}
    assert StudySpec.from_toml('[audit.despite]\nD1 = "why"').audit.despite == {"D1": "why"}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('headline = "best"', "audit.headline"),
        ("subject = []", "audit.subject"),
        ('subject = ["models"]', "audit.subject"),
        ("smallest_difference = 0", "audit.smallest_difference"),
        ("smallest_difference = 1.5", "audit.smallest_difference"),
        ('silence = { P4 = "" }', "audit.silence"),
        ('silence = { P4 = "   " }', "audit.silence"),
        ('silence = { "P 4" = "why" }', "audit.silence"),
        ('despit = ["D1"]', "did you mean 'despite'"),
    ],
)
def test_what_cannot_be_declared_is_refused(table: str, told: str) -> None:
    with pytest.raises(SpecError) as refused:
        StudySpec.from_toml(f"[audit]\n{table}")
    assert told in str(refused.value)


def test_the_flag_adds_to_what_the_file_insists_on_and_makes_no_other_study() -> None:
    study = StudySpec.from_toml('[audit.despite]\nD1 = "why"')
    spec, adapted = adapted_spec(study, despite=["D1", "D3"])
    assert spec.audit.despite == {"D1": "why", "D3": ""}
    assert not adapted
    assert adapted_spec(study, despite=["D3"], epochs=[3])[1]
