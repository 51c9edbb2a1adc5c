"""A specification survives its file, refuses what makes no sense, and is named by what decides its numbers."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.errors import SpecError
from bakeoff.spec import (
    DEFAULT_LEARNING_RATES,
    RECIPES,
    AuditSpec,
    CandidateGrid,
    DataFacts,
    DataSpec,
    RecipeGrid,
    ResolvedStudy,
    StudySpec,
    Views,
    ViewSpec,
    labels,
    resolve_validation,
)

CIFAR = DataFacts(
    fingerprint="f" * 12, size=32, train_pictures=50_000, classes=10, has_validation=False, flippable=True
)


def one_or_more(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(st.none(), values, st.lists(values, min_size=1, max_size=2, unique=True))


recipes = st.fixed_dictionaries(
    {
        "optimizer": one_or_more(st.sampled_from(["adam", "adamw", "sgd", "muon"])),
        "learning_rate": one_or_more(st.floats(1e-6, 1.0)),
        "schedule": st.one_of(st.none(), st.sampled_from(["constant", "cosine", "one_cycle", "linear"])),
        "epochs": one_or_more(st.integers(2, 300)),
        "batch_size": st.one_of(st.none(), st.integers(1, 4096)),
        "warmup_epochs": st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0])),
        "weight_decay": st.one_of(st.none(), st.floats(0, 0.1)),
        "label_smoothing": st.one_of(st.none(), st.floats(0, 0.5)),
    }
)
views = st.builds(
    Views,
    train=st.one_of(
        st.none(),
        st.builds(
            ViewSpec,
            resize=st.integers(16, 256),
            crop=st.integers(8, 16),
            padding=st.integers(0, 8),
            flip=st.booleans(),
            random=st.just(True),
        ),
    ),
    normalize=st.sampled_from(["data", "imagenet", "cifar10"]),
)
studies = st.builds(
    StudySpec,
    name=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    description=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40),
    data=st.builds(
        DataSpec,
        source=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
        validation=st.sampled_from([0, 0.1, 0.25, 5000]),
        split_seed=st.integers(0, 9),
    ),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True),
    precision=st.sampled_from(["float32", "bfloat16"]),
    recipe=recipes.map(lambda keys: RecipeGrid(**keys)),
    view=views,
    candidates=st.lists(
        st.builds(
            lambda model, stem, view, keys: CandidateGrid(model=model, stem=stem, view=view, **keys),
            st.sampled_from(["resnet18", ["alexnet", "mobilenet_v2"]]),
            st.sampled_from([None, "auto", "original", "small"]),
            st.one_of(st.none(), views),
            recipes,
        ),
        min_size=1,
        max_size=2,
    ),
    audit=st.builds(
        AuditSpec,
        headline=st.sampled_from(["test", "train"]),
        subject=st.lists(st.sampled_from(["model", "view", "recipe", "batch_size"]), min_size=1, max_size=3),
        smallest_difference=st.sampled_from([0.005, 0.02]),
        despite=st.one_of(st.just(["D1"]), st.dictionaries(st.sampled_from(["D1", "lab-7"]), st.just("why"))),
        silence=st.dictionaries(st.sampled_from(["P4", "S1"]), st.just("a reason")),
    ),
)


@given(studies)
def test_a_study_survives_its_toml_file(study: StudySpec) -> None:
    assert StudySpec.from_toml(study.to_toml()) == study


@given(studies)
def test_a_resolved_study_survives_its_toml_file_with_every_id(study: StudySpec) -> None:
    try:
        resolved = study.resolve(CIFAR)
    except SpecError:
        return  # two entries may happen to say the same, which another test is about
    again = ResolvedStudy.from_toml(resolved.to_toml())
    assert again == resolved
    assert [run.id for run in again.runs()] == [run.id for run in resolved.runs()]
    assert again.id == resolved.id


@given(studies)
def test_every_run_of_a_study_has_an_id_and_every_candidate_a_label_of_its_own(study: StudySpec) -> None:
    try:
        resolved = study.resolve(CIFAR)
    except SpecError:
        return
    runs = resolved.runs()
    assert len({run.id for run in runs}) == len(runs) == len(resolved.candidates) * len(study.seeds)
    assert len(set(labels(resolved.candidates).values())) == len(resolved.candidates)


def run_id(*, facts: DataFacts = CIFAR, **changes: object) -> str:
    """The id of a study's only run, with some of its values changed."""
    content: dict = {
        "data": {"validation": 5000},
        "seeds": [0],
        "recipe": {"optimizer": "adam", "learning_rate": 0.001, "epochs": 3},
        "candidates": [{"model": "resnet18"}],
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        place = content
        for step in path:
            place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
        place[last] = value
    (run,) = StudySpec.from_mapping(content).resolve(facts).runs()
    return run.id


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [1]},
        {"precision": "bfloat16"},
        {"data__validation": 1000},
        {"data__split_seed": 1},
        {"data__limit": 20_000},
        {"recipe__optimizer": "sgd"},
        {"recipe__learning_rate": 0.002},
        {"recipe__schedule": "constant"},
        {"recipe__epochs": 4},
        {"recipe__batch_size": 32},
        {"recipe__warmup_epochs": 1},
        {"recipe__weight_decay": 0.1},
        {"recipe__label_smoothing": 0.1},
        {"candidates__0__model": "alexnet"},
        {"candidates__0__stem": "original"},
        {"view__normalize": "imagenet"},
        {"view__train": {"crop": 32, "padding": 2, "flip": True, "random": True}},
        {"view__train": {"crop": 32, "padding": 4, "random": True}},
        {"facts": replace(CIFAR, fingerprint="0" * 12)},
    ],
)
def test_what_decides_a_number_changes_the_id(change: dict) -> None:
    assert run_id(**change) != run_id()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"description": "other words"},
        {"data__source": "elsewhere/the-same-pictures"},
        {"data__validation": 0.1},  # the same 5,000 pictures
        {"recipe__momentum": 0.5},  # adam has none
        {"recipe__schedule": "cosine"},  # the default, said aloud
        {"stem": "small"},  # what auto means at 32 pixels
        {"candidates__0__learning_rate": 0.001},
        {"candidates__0__name": "ours"},
        {"view__train": {"crop": 32, "padding": 4, "flip": True, "random": True}},  # the default
        {"view__evaluate": {"resize": 32, "crop": 32}},  # changes nothing at 32 pixels
    ],
)
def test_what_decides_no_number_leaves_the_id(change: dict) -> None:
    assert run_id(**change) == run_id()


def test_momentum_decides_the_numbers_of_sgd() -> None:
    assert run_id(recipe__optimizer="sgd", recipe__momentum=0.5) != run_id(recipe__optimizer="sgd")


def test_a_grid_is_every_combination() -> None:
    study = StudySpec(
        recipe=RecipeGrid(optimizer=["adam", "sgd"], learning_rate=[0.01, 0.001], epochs=[20, 30]),
        candidates=[CandidateGrid(model=["resnet18", "alexnet"])],
        seeds=[0, 1, 2],
    )
    assert len(study.resolve(CIFAR).candidates) == 16
    assert len(study.resolve(CIFAR).runs()) == 48


def test_each_optimizer_has_its_own_default_learning_rate() -> None:
    study = StudySpec(
        recipe=RecipeGrid(optimizer=["adam", "adamw", "sgd", "muon"]), candidates=[CandidateGrid(model="resnet18")]
    )
    found = {
        candidate.recipe.optimizer: candidate.recipe.learning_rate for candidate in study.resolve(CIFAR).candidates
    }
    assert found == DEFAULT_LEARNING_RATES


def test_auto_is_a_small_stem_below_64_pixels_and_the_original_from_there_on() -> None:
    study = StudySpec(candidates=[CandidateGrid(model="resnet18")])
    stems = {size: study.resolve(replace(CIFAR, size=size)).candidates[0].stem for size in (8, 32, 63, 64, 224)}
    assert stems == {8: "small", 32: "small", 63: "small", 64: "original", 224: "original"}


def test_pictures_with_a_handedness_are_not_mirrored_by_default() -> None:
    study = StudySpec(candidates=[CandidateGrid(model="resnet18")])
    assert study.resolve(CIFAR).candidates[0].train_view.flip
    assert not study.resolve(replace(CIFAR, flippable=False)).candidates[0].train_view.flip


def test_by_default_evaluation_sees_the_whole_picture_at_the_size_of_training() -> None:
    study = StudySpec(view=Views(train=ViewSpec(resize=224, crop=224, padding=4, flip=True, random=True)))
    candidate = study.resolve(CIFAR).candidates[0]
    assert candidate.evaluate_view == ViewSpec(resize=224)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[recipe]\noptimiser = 'adam'", ["unknown key `recipe.optimiser`", "did you mean 'optimizer'"]),
        ("[[candidates]]\nmodel = 'resnet18'\nlr = 0.1", ["unknown key `candidates[0].lr`"]),
        ("[view.train]\ncrpo = 3", ["unknown key `view.train.crpo`", "did you mean 'crop'"]),
        ("data-dir = 'x'", ["unknown key `data-dir`", "did you mean 'data'"]),
        ("'a b' = 1", ["unknown key `a b`", "known here: format, name"]),
        ("[recipe]\nlearning-rate = 0.1", ["unknown key `recipe.learning-rate`", "did you mean 'learning_rate'"]),
        (
            "[view]\nnormalize = { meen = [0, 0, 0], std = [1, 1, 1] }",
            ["unknown key `view.normalize.meen`; did you mean 'mean'? (known here: mean, std)"],
        ),
        ("[view]\nnormalize = { mean = [0, 0, 0], std = [1, 1, 0] }", ["`view.normalize.std[2]`", "got 0"]),
        ("[[candidates]]\nmodel = 3", ["`candidates[0].model` must be text in quotes or a list", "got 3"]),
        ("[audit]\nsilence = { P4 = 3 }", ["`audit.silence.P4`", "got 3"]),
        ("[audit]\nsilence = { 'no rule' = 'x' }", ["`audit.silence.no rule`", "match pattern"]),
        ("[recipe]\noptimizer = 'adma'", ["'adma'", "did you mean 'adam'"]),
        ("[recipe]\nlearning_rate = 0", ["`recipe.learning_rate` must be above 0, but got 0"]),
        ("[recipe]\nlearning_rate = [0.1, -0.5]", ["`recipe.learning_rate[1]` must be above 0, but got -0.5"]),
        ("[recipe]\nlearning_rate = []", ["recipe.learning_rate", "at least one value", "got []", "leave it out"]),
        ("[[candidates]]\nmodel = 'resnet18'\nmomentum = []", ["candidates[0].momentum", "at least one value"]),
        ("[recipe]\nlearning_rate = nan", ["`recipe.learning_rate` must be finite, but got nan"]),
        ("[recipe]\nepochs = 0", ["`recipe.epochs` must be at least 1, but got 0"]),
        ("[view.train]\npadding = 4", ["`padding` needs a `crop`"]),
        ("[view.train]\nflip = true", ["`random = true`"]),
        ("[view]\nnormalize = 'imagnet'", ["did you mean 'imagenet'"]),
        ("[data]\nvalidation = 1.5", ["share below 1", "1.5"]),
        ("seeds = [1, 1]", ["my.toml: `seeds` must differ"]),
        ("seeds = [4294967296]", ["`seeds[0]` must be below 4294967296, but got 4294967296"]),
        ("seeds = []", ["`seeds` must be a list of at least 1, but got []"]),
        ("candidates = []", ["`candidates` must be a list of at least 1, but got []"]),
        ("[[candidates]]\nname = 'x'", ["`candidates[0].model` must be given, but is missing"]),
        (
            "[[candidates]]\nmodel = ['alexnet', 3]",
            ["my.toml: `candidates[0].model[1]` must be text in quotes, but got 3"],
        ),
        ("name = '../escape'", ["name"]),
        ("format = 2", ["format 1", "format = 2"]),
        ("this is not toml", ["must be TOML"]),
        (
            "data = 'digits'",
            ["`data` must be a table, but got 'digits'; write [data] and its keys below it (source, size"],
        ),
        (
            "[candidates]\nmodel = 'alexnet'",
            ["`candidates` must be a list, but got", "write [[candidates]] before each"],
        ),
        ("[recipe]\noptimizer = 3", ["`recipe.optimizer` must be "]),
        ("[recipe]\nepochs = 'many'", ["`recipe.epochs` must be a whole number", "got 'many'"]),
        ("[[candidates]]\nmodel = { name = 'x' }", ["`candidates[0].model` must be text in quotes or a list, but got"]),
        ("[data]\nvalidation = true", ["data: `validation` must not be true or false, but got true"]),
        ("[recipe]\nlearning_rate = [0.1, true]", ["`learning_rate` must not be true or false, but got true"]),
        ("seeds = [true]", ["`seeds` must not be true or false"]),
        ("[recipe]\nearly_sizes = [[true, 0.5]]", ["`early_sizes` must not be true or false, but got true"]),
        ("[view.train]\nflip = 'perhaps'", ["`view.train.flip` must be true or false", "one of alternate"]),
        (
            "candidates = ['alexnet']",
            ["`candidates[0]` must be a table", "write [[candidates]] and its keys below it (optimizer"],
        ),
        ("[[candidates]]\nmodel = 'alexnet'\nview = 3", ["write [candidates.view] and its keys below it (train"]),
        (
            "[audit]\nsilence = 3",
            ["`audit.silence` must be a table, but got 3; write [audit.silence] and its keys below it"],
        ),
        (f"seeds = [0x{'f' * 5000}]", ["`seeds[0]`", "a number of thousands of digits"]),
        (
            f"[recipe]\noptimizer = 0x{'f' * 5000}",
            ["`recipe.optimizer` must be one of", "a number of thousands of digits"],
        ),
        (f"seeds = [{'9' * 5000}]", ["must be TOML"]),
        (f"name = '{'x' * 5000}'", ["xxx…"]),
    ],
)
def test_a_mistake_is_told_with_its_place_and_value(toml: str, said: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        StudySpec.from_toml(toml, where="my.toml")
    for words in ["my.toml", *said]:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    "toml",
    ["[[candidates]]\nmodel = { name = 'x' }", "[recipe.epochs]\na = 1", "[seeds]\na = 1", "[view]\nnormalize = 3"],
)
def test_a_value_of_a_wrong_shape_is_told_in_one_line_without_impossible_toml(toml: str) -> None:
    with pytest.raises(SpecError) as caught:
        StudySpec.from_toml(toml)
    assert "\n" not in str(caught.value)
    assert "[[" not in str(caught.value)


def test_a_mistake_is_told_once() -> None:
    with pytest.raises(SpecError) as caught:
        StudySpec.from_toml("[recipe]\nlearning_rate = -1")
    assert str(caught.value).count("learning_rate") == 1


def test_a_crop_that_does_not_fit_is_refused() -> None:
    study = StudySpec(view=Views(train=ViewSpec(crop=64, random=True)))
    with pytest.raises(SpecError, match="crop = 64"):
        study.resolve(CIFAR)


def test_training_and_evaluation_of_different_sizes_are_refused() -> None:
    study = StudySpec(view=Views(train=ViewSpec(resize=64), evaluate=ViewSpec(resize=32)))
    with pytest.raises(SpecError, match="inputs of one size"):
        study.resolve(CIFAR)


def test_the_same_candidate_twice_is_refused() -> None:
    study = StudySpec(candidates=[CandidateGrid(model="resnet18"), CandidateGrid(model="resnet18")])
    with pytest.raises(SpecError, match="stands twice"):
        study.resolve(CIFAR)


def test_warm_up_must_leave_an_epoch() -> None:
    study = StudySpec(recipe=RecipeGrid(epochs=2, warmup_epochs=2.0))
    with pytest.raises(SpecError, match="warmup_epochs"):
        study.resolve(CIFAR)


@pytest.mark.parametrize(("asked", "taken"), [(0, 0), (0.1, 5000), (5000, 5000), (10, 10)])
def test_validation_is_a_share_or_a_number(asked: float, taken: int) -> None:
    assert resolve_validation(asked, CIFAR) == taken


@pytest.mark.parametrize("asked", [9, 1e-6, 49_995, 60_000])
def test_a_validation_split_without_every_class_is_refused(asked: float) -> None:
    with pytest.raises(SpecError, match="each of the 10 classes"):
        resolve_validation(asked, CIFAR)


def test_pictures_with_a_validation_split_keep_their_training_set_whole() -> None:
    assert resolve_validation(0.1, replace(CIFAR, has_validation=True)) == 0


def test_two_studies_are_compared_key_by_key() -> None:
    one = StudySpec(candidates=[CandidateGrid(model="resnet18")]).resolve(CIFAR)
    other = StudySpec(candidates=[CandidateGrid(model="resnet18")], recipe=RecipeGrid(epochs=3), seeds=[0, 1]).resolve(
        CIFAR
    )
    assert one.differences(other) == ["candidates[0].recipe.epochs: 10 -> 3", "seeds: [0] -> [0, 1]"]
    assert one.differences(one) == []


def test_a_study_folder_of_another_format_is_refused() -> None:
    text = StudySpec().resolve(CIFAR).to_toml().replace("format = 1", "format = 7")
    with pytest.raises(SpecError, match="format = 7"):
        ResolvedStudy.from_toml(text)


def test_ids_stay_what_they_were_before_there_were_early_sizes_and_muon() -> None:
    study = StudySpec(recipe=RecipeGrid(optimizer=["adam", "sgd"]), candidates=[CandidateGrid(model="resnet18")])
    assert [run.id for run in study.resolve(CIFAR).runs()] == ["c75bf0fd2945", "ca64e936d82c"]


def test_a_recipe_by_name_goes_before_the_studys_and_after_what_stands_beside_it() -> None:
    study = StudySpec(
        recipe=RecipeGrid(optimizer="sgd", learning_rate=0.03, epochs=[2, 3]),
        candidates=[CandidateGrid(model="speednet", recipe="speed", epochs=5), CandidateGrid(model="resnet18")],
    )
    speed, *others = study.resolve(CIFAR).candidates
    assert (speed.recipe.optimizer, speed.recipe.schedule, speed.recipe.epochs) == ("muon", "linear", 5)
    assert speed.recipe.early_sizes == RECIPES["speed"]["early_sizes"]
    assert speed.recipe.momentum == 0.6
    assert speed.train_view == ViewSpec(flip="alternate", crop=32, padding=2, padding_mode="reflect", random=True)
    assert [(other.recipe.optimizer, other.recipe.epochs) for other in others] == [("sgd", 2), ("sgd", 3)]
    assert others[0].train_view.flip is True


def test_a_recipe_by_name_mirrors_nothing_that_has_a_handedness_and_keeps_a_view_of_ones_own() -> None:
    digits = replace(CIFAR, flippable=False)
    study = StudySpec(candidates=[CandidateGrid(model="speednet", recipe="speed")])
    assert study.resolve(digits).candidates[0].train_view.flip is False
    own = Views(train=ViewSpec(flip=True, random=True))
    study = StudySpec(candidates=[CandidateGrid(model="speednet", recipe="speed", view=own)])
    assert study.resolve(CIFAR).candidates[0].train_view.flip is True


def test_early_sizes_survive_toml_and_must_be_below_the_views_size() -> None:
    text = 'format = 1\n[[candidates]]\nmodel = "resnet18"\nearly_sizes = [[16, 0.5], [24, 0.25]]\n'
    study = StudySpec.from_toml(text)
    resolved = study.resolve(CIFAR)
    assert resolved.candidates[0].recipe.early_sizes == ((16, 0.5), (24, 0.25))
    assert ResolvedStudy.from_toml(resolved.to_toml()) == resolved
    with pytest.raises(SpecError, match=r"below the view.s 32 pixels, but resnet18 has 32"):
        StudySpec.from_toml(text.replace("24", "32")).resolve(CIFAR)


def test_an_unknown_recipe_name_is_told_with_those_there_are() -> None:
    with pytest.raises(SpecError, match="speed"):
        StudySpec.from_toml('format = 1\n[[candidates]]\nmodel = "resnet18"\nrecipe = "fast"\n')


def test_lists_nested_without_end_are_refused() -> None:
    with pytest.raises(SpecError, match="hundreds deep"):
        StudySpec.from_toml("name = " + "[" * 100_000)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"data": {"split_seed": 10**19}}, "`data.split_seed` must be at most 9223372036854775807"),
        ({"data": {"limit": 10**19}}, "`data.limit` must be at most 9223372036854775807"),
        ({"recipe": {"epochs": 10**19}}, "must be at most 9223372036854775807"),
        ({"view": {"normalize": {"mean": [float("nan"), 0, 0], "std": [1, 1, 1]}}}, "mean[0]` must be finite"),
        ({"view": {"normalize": {"mean": [0, 0, float("inf")], "std": [1, 1, 1]}}}, "mean[2]` must be finite"),
    ],
)
def test_numbers_that_no_results_can_hold_are_refused(content: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        StudySpec.from_mapping(content)
    assert said in str(caught.value)


@pytest.mark.parametrize("key", ["seeds", "candidates"])
def test_a_study_of_nothing_is_refused(key: str) -> None:
    text = StudySpec().resolve(CIFAR).to_toml()
    content = tomllib.loads(text) | {key: []}
    with pytest.raises(SpecError, match=f"`{key}` must be a list of at least 1"):
        ResolvedStudy.from_mapping(content)
