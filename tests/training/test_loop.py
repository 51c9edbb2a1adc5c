"""Training equals a plain loop, stops at any step, and goes on bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as TF

from bakeoff.data import Dataset
from bakeoff.data.batches import Batches, derived_seed, generator
from bakeoff.data.splits import split_indices
from bakeoff.data.view import View
from bakeoff.errors import RunError
from bakeoff.predictions import load_predictions
from bakeoff.records import EpochRecord, Numerics, RunResult, RunStatus
from bakeoff.spec import RunSpec, ViewSpec
from bakeoff.training import trainer
from bakeoff.training.checkpoint import load
from bakeoff.training.convolution import Layer, Pass, layers_of, load_state
from bakeoff.training.convolution.algorithm import serving
from bakeoff.training.loop import train
from bakeoff.training.setup import build_network, view_of
from bakeoff.training.threads import torch_threads
from bakeoff.training.trainer import Hooks, Interrupted, Trainer
from tests.builders import numerics, one_run, small_dataset
from tests.training.tiny import use_network

pytestmark = pytest.mark.slow


def trained(
    run: RunSpec, dataset: Dataset, folder: Path, *, hooks: Hooks | None = None, how: Numerics | None = None
) -> tuple[list[EpochRecord], RunResult]:
    """Train a run to its end."""
    records = train(
        run, dataset, numerics=how or numerics(run), folder=folder, predictions=folder / "predictions.npz", hooks=hooks
    )
    found = []
    try:
        while True:
            found.append(next(records))
    except StopIteration as end:
        return found, end.value


def without_seconds(records: list[EpochRecord]) -> list[EpochRecord]:
    return [replace(record, seconds_train=0.0, seconds_wait=0.0, seconds_evaluate=0.0) for record in records]


def weights(folder: Path, run: RunSpec) -> dict[str, torch.Tensor]:
    checkpoint = load(folder, run.id, pytest.fail)
    assert checkpoint is not None
    return checkpoint.network


def plain_losses(run: RunSpec, dataset: Dataset, steps: int) -> list[float]:
    """The loop anybody would write: torch's optimizer, nothing clever; batches and views as bakeoff assembles them.

    It takes bakeoff's memory layout, and Adam in its fused form, too: another layout or form rounds otherwise, and
    these networks turn a millionth in one step into a hundredth five steps later (measured between two plain loops, on
    real pictures as well).
    """
    recipe, candidate = run.candidate.recipe, run.candidate
    network = build_network(run, dataset).to(memory_format=torch.channels_last)
    optimizers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "sgd": lambda: torch.optim.SGD(network.parameters(), lr=recipe.learning_rate, momentum=0.9),
        "adam": lambda: torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, fused=True),
    }
    optimizer = optimizers[recipe.optimizer]()
    view = view_of(candidate.train_view, candidate, dataset)
    batches = Batches(dataset.train, split_indices(dataset, run).train, view, torch.device("cpu"))
    losses = []
    network.train()
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(run.seed, 1, "dropout"))
        for inputs, labels in batches.shuffled(recipe.batch_size, run.seed, 1):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == steps:
                break
    return losses


def test_batches_are_the_seeds_order_and_draws_seen_through_torchvision() -> None:
    dataset = small_dataset(train=40, classes=4, size=16)
    candidate = one_run(dataset).candidate
    view = view_of(candidate.train_view, candidate, dataset)
    chosen = np.arange(3, 40)
    batches = list(Batches(dataset.train, chosen, view, torch.device("cpu")).shuffled(16, seed=7, epoch=2))
    order = chosen[torch.randperm(37, generator=generator(7, 2, "order")).numpy()]
    chance = generator(7, 2, "view")
    padding, crop = candidate.train_view.padding, candidate.train_view.crop
    assert crop is not None
    tops, lefts = torch.randint(16 + 2 * padding - crop + 1, (2, 37), generator=chance)
    mirrored = torch.rand(37, generator=chance) < 0.5
    expected = []
    for place, picture in enumerate(order):
        image = torch.from_numpy(np.array(dataset.train.pixels[picture])).permute(2, 0, 1)
        if mirrored[place]:
            image = TF.horizontal_flip(image)
        image = TF.crop(TF.pad(image, [padding]), int(tops[place]), int(lefts[place]), crop, crop)
        expected.append(TF.normalize(image.float() / 255, list(dataset.mean), list(dataset.std)))
    torch.testing.assert_close(torch.cat([inputs for inputs, _ in batches]), torch.stack(expected), rtol=0, atol=1e-5)
    assert torch.cat([labels for _, labels in batches]).tolist() == dataset.train.labels[order].tolist()


@pytest.mark.parametrize(
    ("model", "stem", "optimizer", "learning_rate"),
    [
        ("resnet18", "original", "sgd", 0.01),
        ("alexnet", "small", "sgd", 0.01),
        ("mobilenet_v2", "original", "adam", 0.001),
        ("mobilenet_v1", "original", "sgd", 0.001),
    ],
)
def test_thirty_steps_have_the_losses_of_a_plain_loop(
    model: str, stem: str, optimizer: str, learning_rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = small_dataset(train=120, classes=10, size=32 if stem == "original" else 8)
    run = one_run(
        dataset,
        model,
        study={"data": {"validation": 0}, "stem": stem},
        optimizer=optimizer,
        learning_rate=learning_rate,
        schedule="constant",
        epochs=1,
        batch_size=4,
    )
    losses: list[float] = []
    own_step = Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda *given: losses.append(float(own_step(*given))) or torch.zeros(()))
    records, _ = trained(run, dataset, tmp_path, how=numerics(run))
    with torch_threads(1):
        expected = plain_losses(run, dataset, 30)
    assert len(losses) == len(expected) == 30
    assert losses == pytest.approx(expected, abs=1e-4)
    assert records[0].train_loss == pytest.approx(np.mean(expected), abs=1e-4)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    dataset = small_dataset()
    run, other = one_run(dataset), one_run(dataset, seed=1)
    first, _ = trained(run, dataset, tmp_path / "a")
    second, _ = trained(run, dataset, tmp_path / "b")
    third, _ = trained(other, dataset, tmp_path / "c")
    assert without_seconds(first) == without_seconds(second)
    assert first[0].train_loss != third[0].train_loss


def stopping_after(asked: int) -> Callable[[], bool]:
    """A stop that comes the so-manieth time it is asked for, which is after every step."""
    times = iter(range(1, 10_000))
    return lambda: next(times) == asked


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("model", "stem"), [("resnet18", "original"), ("alexnet", "small"), ("mobilenet_v2", "original")]
)
def test_a_run_that_was_stopped_equals_one_that_was_not(model: str, stem: str, precision: str, tmp_path: Path) -> None:
    dataset = small_dataset(train=16, test=4)
    # A processor that imitates bfloat16 takes seconds for a step, and AlexNet's weights and momentum for a checkpoint
    # (so that it is not evaluated in between either).
    epochs = 1 if precision == "bfloat16" or model == "alexnet" else 2
    run = one_run(
        dataset,
        model,
        study={"stem": stem, "precision": precision, "data": {"validation": 0 if model == "alexnet" else 4}},
        optimizer="sgd",
        epochs=epochs,
        batch_size=6,
    )
    whole, whole_result = trained(run, dataset, tmp_path / "whole")
    for asked in range(1, epochs + 1):  # after the first step of the first epoch, then of the second
        with pytest.raises(Interrupted):
            trained(run, dataset, tmp_path / "pieces", hooks=Hooks(stop=stopping_after(asked)))
    pieces, result = trained(run, dataset, tmp_path / "pieces")
    assert without_seconds(pieces) == without_seconds(whole)
    assert replace(result, seconds_test=0) == replace(whole_result, seconds_test=0)
    expected = weights(tmp_path / "whole", run)
    assert all(torch.equal(value, expected[key]) for key, value in weights(tmp_path / "pieces", run).items())
    assert (tmp_path / "pieces/predictions.npz").read_bytes() == (tmp_path / "whole/predictions.npz").read_bytes()


def test_a_run_may_be_stopped_after_every_single_step(tmp_path: Path) -> None:
    dataset = small_dataset(train=32, test=8)
    run = one_run(dataset, batch_size=8)
    whole, _ = trained(run, dataset, tmp_path / "whole")
    stops, pieces = 0, []
    while not pieces:
        try:
            pieces, _ = trained(run, dataset, tmp_path / "pieces", hooks=Hooks(stop=stopping_after(1)))
        except Interrupted:
            stops += 1
    assert stops == 6  # three steps in each of two epochs
    assert without_seconds(pieces) == without_seconds(whole)


def test_a_run_that_has_ended_replays_its_history_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = small_dataset()
    run = one_run(dataset)
    before = trained(run, dataset, tmp_path)
    monkeypatch.setattr(Trainer, "step", lambda *given: pytest.fail("trained again"))
    assert trained(run, dataset, tmp_path) == before


def test_a_truncated_checkpoint_gives_way_to_the_one_before_and_the_bits_stay(tmp_path: Path) -> None:
    dataset = small_dataset()
    run = one_run(dataset, epochs=3)
    whole, _ = trained(run, dataset, tmp_path / "whole")
    records = train(run, dataset, numerics=numerics(run), folder=tmp_path / "cut", predictions=tmp_path / "cut/p.npz")
    next(records), next(records)
    records.close()
    last = tmp_path / "cut/last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    warnings: list[str] = []
    again, _ = trained(run, dataset, tmp_path / "cut", hooks=Hooks(warn=warnings.append))
    assert "the one before it is used" in warnings[0]
    assert without_seconds(again) == without_seconds(whole)


def test_a_run_that_goes_on_deletes_what_a_kill_left_of_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = small_dataset(size=8)
    use_network(monkeypatch, narrow_network)
    (tmp_path / ".last.ckpt.0a1b2c3d.partial").write_bytes(b"half a checkpoint")
    trained(one_run(dataset, epochs=1), dataset, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "predictions.npz"]


def test_a_loss_that_is_not_finite_ends_the_run_with_its_step(tmp_path: Path) -> None:
    dataset = small_dataset()
    run = one_run(dataset, optimizer="sgd", learning_rate=1000.0, schedule="constant", epochs=5)
    records, result = trained(run, dataset, tmp_path)
    assert result.status is RunStatus.DIVERGED
    assert result.test_accuracy is None
    assert result.message is not None
    assert f"of epoch {len(records) + 1}" in result.message
    # And it stays so when the command is given again. In words, since a loss that is not a number equals no other.
    assert repr(trained(run, dataset, tmp_path)) == repr((records, result))


class Limited(nn.Module):
    """A network that runs out of memory on more than so many pictures at once."""

    def __init__(self, inner: nn.Module, most: int, error: Exception) -> None:
        super().__init__()
        self.inner, self.most, self.error = inner, most, error

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.training and len(inputs) > self.most:
            raise self.error
        return self.inner(inputs)


def limit_memory(monkeypatch: pytest.MonkeyPatch, most: int, error: Exception) -> None:
    build = trainer.build_network

    def limited(*given: Any) -> nn.Module:
        network = build(*given)
        for layer in network.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.momentum = 0.0  # batch statistics are what accumulation cannot keep
        return Limited(network, most, error)

    monkeypatch.setattr(trainer, "build_network", limited)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_with_too_little_memory_the_micro_batch_is_halved_and_recorded(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = small_dataset()
    run = one_run(dataset)
    limit_memory(monkeypatch, 5, error)
    warnings: list[str] = []
    records, result = trained(run, dataset, tmp_path, hooks=Hooks(warn=warnings.append))
    assert result.status is RunStatus.DONE
    assert {record.micro_batch for record in records} == {4}
    assert len(warnings) == 2  # 16 -> 8 -> 4
    assert "4 pictures at once" in warnings[1]


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    dataset = small_dataset(size=64)
    run = one_run(dataset, "squeezenet1_1", optimizer="sgd", learning_rate=0.01)  # has no batch normalisation

    def gradients(micro_batch: int) -> list[torch.Tensor]:
        trainer = Trainer(run, dataset, numerics(run), micro_batch, None, tmp_path, Hooks())
        trainer.network.eval()  # no dropout, whose draws depend on the parts
        trainer.step(*next(trainer.batches.shuffled(16, 0, 1)), 0)
        return [parameter.grad for parameter in trainer.network.parameters() if parameter.grad is not None]

    for whole, parts in zip(gradients(16), gradients(5), strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("batch", "micro_batch", "sizes"),
    [
        (64, 64, [64]),
        (64, 16, [16, 16, 16, 16]),
        (33, 16, [11, 11, 11]),
        (34, 16, [12, 11, 11]),
        (5, 4, [3, 2]),
        (5, 2, [3, 2]),
        (3, 2, [3]),
        (1, 2, [1]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_a_batch_is_taken_in_nearly_equal_parts_none_of_one_picture(
    batch: int, micro_batch: int, sizes: list[int]
) -> None:
    assert [len(part) for part in torch.zeros(batch).tensor_split(trainer.parts_of(batch, micro_batch))] == sizes


def narrow_network() -> nn.Module:
    """Its maps are of one pixel where it normalises, so that one picture has one value a channel."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 8, stride=8), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )


@pytest.mark.parametrize("most", [5, 8])
def test_with_too_little_memory_a_batch_that_leaves_one_over_is_trained(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = small_dataset(train=66, size=8)
    run = one_run(dataset, batch_size=17)
    use_network(monkeypatch, narrow_network)
    limit_memory(monkeypatch, most, torch.OutOfMemoryError("CUDA out of memory"))
    _, result = trained(run, dataset, tmp_path)
    assert result.status is RunStatus.DONE


def test_memory_for_one_picture_alone_is_told_where_batch_normalisation_needs_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = small_dataset(size=8)
    use_network(monkeypatch, narrow_network)
    limit_memory(monkeypatch, 1, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RunError, match=r"memory is short.*batch normalisation.*--workers"):
        trained(one_run(dataset), dataset, tmp_path)


def test_an_error_that_is_no_lack_of_memory_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = small_dataset()
    limit_memory(monkeypatch, 5, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        trained(one_run(dataset), dataset, tmp_path)


def test_accuracies_and_predictions_are_those_of_the_last_weights(tmp_path: Path) -> None:
    dataset = small_dataset()
    run = one_run(dataset, epochs=3)
    records, result = trained(run, dataset, tmp_path)
    network = build_network(run, dataset)
    network.load_state_dict(weights(tmp_path, run))
    network.eval()

    def scored(pixels: np.ndarray) -> torch.Tensor:
        images = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            return network((images - 0.45) / 0.2)

    logits = scored(dataset.test.pixels)
    kept = load_predictions(tmp_path / "predictions.npz")
    assert result.test_accuracy == (logits.argmax(1).numpy() == dataset.test.labels).mean()
    assert result.test_loss == pytest.approx(
        F.cross_entropy(logits, torch.from_numpy(dataset.test.labels)).item(), rel=1e-4
    )
    np.testing.assert_array_equal(kept.predicted, logits.argmax(1).numpy())
    np.testing.assert_allclose(kept.logits, logits.numpy(), rtol=2e-3, atol=2e-3)
    validation = split_indices(dataset, run).validation
    expected = (scored(dataset.train.pixels[validation]).argmax(1).numpy() == dataset.train.labels[validation]).mean()
    assert records[-1].val_accuracy == expected


def test_splits_are_disjoint_and_the_limit_comes_first() -> None:
    dataset = small_dataset(train=96, test=24)
    run = one_run(dataset, study={"data": {"validation": 0.25, "limit": 48}})
    run = run.model_copy(update={"validation": 12})
    indices = split_indices(dataset, run)
    assert (len(indices.train), len(indices.validation), len(indices.test)) == (36, 12, 12)
    assert not set(indices.train) & set(indices.validation)
    for labels in (
        dataset.train.labels[indices.train],
        dataset.train.labels[indices.validation],
        dataset.test.labels[indices.test],
    ):
        assert len(set(np.bincount(labels))) == 1


def test_training_leaves_the_callers_random_numbers_and_threads_alone(tmp_path: Path) -> None:
    dataset = small_dataset()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    trained(one_run(dataset, epochs=1), dataset, tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_alternating_flips_show_every_picture_from_both_sides_in_two_epochs() -> None:
    dataset = small_dataset(train=40, classes=4, size=16)
    view = View(ViewSpec(flip="alternate", random=True), dataset.mean, dataset.std, dataset.size)
    plain = View(ViewSpec(), dataset.mean, dataset.std, dataset.size)
    rows = np.arange(40)
    upright = torch.cat(
        [inputs for inputs, _ in Batches(dataset.train, rows, plain, torch.device("cpu")).in_order(40, 0, 1)]
    )

    def mirrored(epoch: int, seed: int = 3) -> list[bool]:
        order = torch.randperm(40, generator=generator(seed, epoch, "order"))
        batches = Batches(dataset.train, rows, view, torch.device("cpu")).shuffled(16, seed, epoch)
        seen = torch.cat([inputs for inputs, _ in batches])
        found = {}
        for picture, image in zip(order.tolist(), seen, strict=True):
            found[picture] = not torch.equal(image, upright[picture])
            assert torch.equal(image, upright[picture].flip(2) if found[picture] else upright[picture])
        return [found[picture] for picture in range(40)]

    first = mirrored(1)
    assert 10 < sum(first) < 30
    assert mirrored(2) == [not flipped for flipped in first]
    assert mirrored(3) == first
    assert mirrored(1, seed=4) != first


def test_the_recipe_for_speed_learns_and_goes_on_bit_for_bit(tmp_path: Path) -> None:
    dataset = small_dataset(train=96, classes=4, size=32)
    run = one_run(
        dataset,
        study={"candidates": [{"model": "speednet", "recipe": "speed", "epochs": 4, "batch_size": 24}]},
    )
    records, result = trained(run, dataset, tmp_path / "whole")
    assert result.status is RunStatus.DONE
    assert records[-1].train_loss < records[0].train_loss
    stops = iter([False, False, False, False, False, True])
    with pytest.raises(Interrupted):
        trained(run, dataset, tmp_path / "parts", hooks=Hooks(stop=lambda: next(stops, True)))
    again, other = trained(run, dataset, tmp_path / "parts")
    assert without_seconds(again) == without_seconds(records)
    assert other.test_accuracy == result.test_accuracy
    whole, parts = weights(tmp_path / "whole", run), weights(tmp_path / "parts", run)
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_progress_is_told_and_ends_with_the_epochs_means(tmp_path: Path) -> None:
    dataset = small_dataset()
    reports: list[Any] = []
    records, _ = trained(one_run(dataset), dataset, tmp_path, hooks=Hooks(on_step=reports.append))
    last = [report for report in reports if report.step == report.steps]
    assert [report.loss for report in last] == [record.train_loss for record in records]
    assert all(report.images_per_second > 0 for report in reports)


@pytest.mark.parametrize(("pictures", "batch", "steps"), [(32, 16, 2), (33, 16, 2), (34, 16, 3), (1, 16, 1), (3, 1, 3)])
def test_only_a_last_batch_of_one_picture_is_left_out(pictures: int, batch: int, steps: int) -> None:
    dataset = small_dataset()
    view = View(ViewSpec(), dataset.mean, dataset.std, dataset.size)
    batches = Batches(dataset.train, np.arange(pictures), view, torch.device("cpu"))
    seen = [len(labels) for _, labels in batches.shuffled(batch, 0, 1)]
    assert batches.steps(batch) == len(seen) == steps
    assert sum(seen) == pictures - (1 if (pictures, batch) == (33, 16) else 0)


def test_each_step_with_other_algorithms_is_a_plain_step(tmp_path: Path) -> None:
    """Step by step from the same weights: other algorithms round otherwise, and rounding grows tenfold a step here.

    (Two plain loops in two memory layouts part as fast.) The twin of this trainer, without chosen algorithms, is the
    plain loop, as shown above.
    """
    dataset = small_dataset(train=96, classes=10, size=32)
    run = one_run(dataset, "resnet18", study={"data": {"validation": 0}}, optimizer="sgd", batch_size=8)
    chosen = {
        layer.name: [_another(layer, task) for task in Pass]
        for layer in layers_of(build_network(run, dataset), batch=8, size=32, dtype=torch.float32)
    }
    assert all(name != "library" for names in chosen.values() for name in names)
    plain, fast = (
        Trainer(run, dataset, how, 8, None, tmp_path, Hooks())
        for how in (numerics(run), numerics(run, convolutions=chosen))
    )
    for step, (inputs, labels) in enumerate(plain.batches.shuffled(8, run.seed, 1)):
        fast.network.load_state_dict(plain.network.state_dict())
        load_state(fast.network, fast.optimizer, copy.deepcopy(plain.optimizer.state_dict()))
        before = {name: value.clone() for name, value in plain.network.state_dict().items()}
        draws = torch.get_rng_state()
        expected = float(plain.step(inputs, labels, step))
        torch.set_rng_state(draws)
        assert float(fast.step(inputs, labels, step)) == pytest.approx(expected, abs=1e-4)
        for name, _ in plain.network.named_parameters():
            start, one, other = before[name], plain.network.state_dict()[name], fast.network.state_dict()[name]
            # A unit whose sum is as good as zero may be on in one and off in the other; the exact comparison, in float64,
            # is among the tests of the layer.
            assert (other - one).norm() <= 0.05 * (one - start).norm() + 1e-6
    assert step == 11


class AtTwoSizes(nn.Module):
    """One convolution on the mean of the pictures, where its centre alone meets a pixel, and on the pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.mean((2, 3), keepdim=True)).sum((2, 3)) + self.layer(images).mean((2, 3))


def test_a_convolution_at_two_sizes_learns_as_in_a_plain_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = small_dataset(size=8)
    run = one_run(dataset, optimizer="sgd", learning_rate=0.1)
    use_network(monkeypatch, AtTwoSizes)
    plain, chosen = (
        Trainer(run, dataset, how, 16, None, tmp_path, Hooks())
        for how in (numerics(run), numerics(run, convolutions={"layer": ["library"] * 3}))
    )
    for one in (plain, chosen):
        one.step(*next(one.batches.shuffled(16, 0, 1)), 0)
    torch.testing.assert_close(chosen.network.state_dict(), plain.network.state_dict())


def _another(layer: Layer, task: Pass) -> str:
    """An algorithm other than the library's that is not slow here."""
    names = [algorithm.name for algorithm in serving(layer.geometry.trimmed, task)]
    small = layer.geometry.rows.size <= 4
    return next(
        (name for name in ("winograd", "dense", "matmul", "spread") if name in names and (small or name != "dense")),
        "planar",
    )
