"""What is seen of a run's training is what was there, and looking changes nothing."""

from __future__ import annotations

import contextlib
import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bakeoff.data.batches import Batches
from bakeoff.data.splits import split_indices
from bakeoff.execution.messages import Ended, event_from_line, event_to_line
from bakeoff.records import RunStatus
from bakeoff.spec import Recipe, RunSpec
from bakeoff.training import checkpoint, health, trainer
from bakeoff.training.channels import DeadChannels
from bakeoff.training.health import clean_sample, rows, update_steps
from bakeoff.training.kernels import normalization
from bakeoff.training.optim import build_optimizer, learning_rate
from bakeoff.training.setup import build_network, view_of
from bakeoff.training.trainer import Hooks, Interrupted, Trainer
from tests.builders import one_run, recipe, small_dataset
from tests.training.tiny import health_of, small_network, trained, use_network

DATASET = small_dataset()


class Blind:
    """Sees nothing."""

    def __init__(self, *given: Any, **more: Any) -> None: ...

    @contextlib.contextmanager
    def update(self) -> Iterator[None]:
        yield

    def stepped(self, *given: Any) -> None: ...
    def validated(self, *given: Any) -> None: ...
    def finished(self, *given: Any) -> None: ...
    def state(self) -> dict[str, Any]:
        return {}


def tiny_run(**given: Any) -> RunSpec:
    return one_run(DATASET, **{"optimizer": "sgd", "learning_rate": 0.05, "epochs": 3} | given)


def kept_weights(folder: Path, run: RunSpec) -> dict[str, torch.Tensor]:
    state = checkpoint.load(folder, run.id, pytest.fail)
    assert state is not None
    return state.network


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon"])
def test_looking_changes_not_a_bit_of_the_run(optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    run = tiny_run(optimizer=optimizer, batch_size=10)
    seen, result = trained(run, DATASET, tmp_path / "seen")
    monkeypatch.setattr(trainer, "Watch", Blind)
    unseen, other = trained(run, DATASET, tmp_path / "unseen")
    whole, expected = kept_weights(tmp_path / "seen", run), kept_weights(tmp_path / "unseen", run)
    assert all(torch.equal(value, expected[name]) for name, value in whole.items())  # with batch norm's statistics
    assert [record.train_loss for record in seen] == [record.train_loss for record in unseen]
    assert [record.val_loss for record in seen] == [record.val_loss for record in unseen]
    assert (result.test_loss, result.test_accuracy) == (other.test_loss, other.test_accuracy)
    assert (tmp_path / "seen/predictions.npz").read_bytes() == (tmp_path / "unseen/predictions.npz").read_bytes()


def test_losses_are_those_of_the_steps_smoothed_as_pandas_smooths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, small_network)
    run = tiny_run(batch_size=8)
    losses: list[float] = []
    own_step = Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda *given: losses.append(float(own_step(*given))))
    seen = health_of(run, DATASET, tmp_path)
    smooth = pd.Series(losses).ewm(alpha=0.02, adjust=True).mean()
    assert seen["initial_loss"] == losses[0]
    assert seen["initial_pictures"] == 8
    assert seen["steps"] == len(losses) == 27
    assert [step for step, _ in seen["loss_course"]] == list(range(27))
    np.testing.assert_allclose([loss for _, loss in seen["loss_course"]], smooth, rtol=1e-12)
    assert seen["smoothed_best"] == pytest.approx(smooth.min())
    assert seen["smoothed_last"] == pytest.approx(smooth.iloc[-1])
    rises = smooth / smooth.cummin().clip(lower=0.1 * math.log(4))
    assert seen["worst_rise"] == pytest.approx(rises.max())
    assert seen["worst_rise_step"] == rises.idxmax()


def test_the_initial_loss_is_that_of_the_fresh_network_on_the_first_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = use_network(monkeypatch, lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 4)))
    run = tiny_run()
    view = view_of(run.candidate.train_view, run.candidate, DATASET)
    batches = Batches(DATASET.train, split_indices(DATASET, run).train, view, torch.device("cpu"))
    inputs, labels = next(batches.shuffled(16, run.seed, 1))
    expected = F.cross_entropy(build(run)(inputs), labels).item()
    assert health_of(run, DATASET, tmp_path)["initial_loss"] == pytest.approx(expected, rel=1e-6)


def test_update_sizes_are_those_of_the_weights_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, small_network)
    run = tiny_run(schedule="constant", epochs=4)  # 20 steps, each of which is looked at
    ratios: dict[str, list[float]] = {}
    own_step = Trainer.step

    def step(trainer: Trainer, *given: Any) -> torch.Tensor:
        before = {name: value.detach().clone() for name, value in trainer.network.named_parameters()}
        loss = own_step(trainer, *given)
        for name, value in trainer.network.named_parameters():
            if value.ndim > 1:
                moved = (value.detach() - before[name]).double().numpy()
                ratios.setdefault(name, []).append(moved.std() / before[name].double().numpy().std())
        return loss

    monkeypatch.setattr(Trainer, "step", step)
    seen = health_of(run, DATASET, tmp_path)
    assert seen["update_steps"] == 20
    assert seen["updates"] == pytest.approx({name: np.median(found) for name, found in ratios.items()}, rel=1e-4)


def test_only_filters_before_batch_normalisation_are_scale_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, small_network)
    assert health_of(tiny_run(), DATASET, tmp_path)["scale_free"] == ["0.weight"]


def test_the_convolutions_of_a_network_that_normalises_are_scale_free(tmp_path: Path) -> None:
    dataset = small_dataset(train=32, test=4, size=32)
    run = one_run(dataset, "speednet", epochs=1)
    network = build_network(run, dataset)
    convolutions = [name for name, value in network.named_parameters() if value.ndim == 4 and value.requires_grad]
    assert health_of(run, dataset, tmp_path)["scale_free"] == convolutions


def test_no_weight_of_a_network_without_batch_normalisation_is_scale_free(tmp_path: Path) -> None:
    dataset = small_dataset(train=32, test=4, size=32)
    seen = health_of(one_run(dataset, "squeezenet1_1", epochs=1), dataset, tmp_path)
    assert seen["scale_free"] == []
    assert len(seen["updates"]) == 26


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "one_cycle"])
@pytest.mark.parametrize("warmup_epochs", [0.0, 1.5])
def test_updates_are_measured_after_the_warm_up_while_the_rate_is_high(schedule: str, warmup_epochs: float) -> None:
    given = recipe(schedule=schedule, warmup_epochs=warmup_epochs, epochs=5)
    steps = update_steps(given, 100)
    rates = [learning_rate(given, step, 100) for step in steps]
    assert len(steps) == 20
    assert min(rates) >= given.learning_rate / 2
    assert min(steps) >= 100 * warmup_epochs
    assert all(0 <= step < 500 for step in steps)


def test_a_short_run_is_looked_at_in_each_step() -> None:
    assert update_steps(recipe(epochs=2), 3) == set(range(6))
    assert len(update_steps(recipe(epochs=200), 782)) == 20


@pytest.mark.parametrize("shape", [(), (5,), (100_000,), (4, 3, 3, 3), (512, 512, 3, 3), (10, 70_000)])
def test_a_parameter_is_looked_at_in_part_if_it_is_large(shape: tuple[int, ...]) -> None:
    given = torch.zeros(shape)
    looked_at = rows(given).numel()
    assert looked_at == given.numel() if given.numel() < 10_000 else looked_at < 8 * 70_000 + 1
    assert looked_at >= min(given.numel(), 8_000)


def without_the_head(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    optimizer = build_optimizer(network, recipe)
    del optimizer.param_groups[0]["params"][-2:]
    return optimizer


def test_a_part_that_is_not_in_the_optimizer_is_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    monkeypatch.setattr(trainer, "build_optimizer", without_the_head)
    seen = health_of(tiny_run(), DATASET, tmp_path)
    assert seen["not_in_optimizer"] == seen["unmoved"] == ["8.weight", "8.bias"]
    assert seen["without_gradient"] == []


class Idle(nn.Module):
    """A network with a part that its output does not depend on, and one that it multiplies by zero."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small_network()
        self.unused = nn.Linear(3, 3)
        self.silent = nn.Linear(192, 4)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.body(inputs) + 0 * self.silent(inputs.flatten(1))


def test_parts_that_get_no_gradient_are_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, Idle)
    seen = health_of(tiny_run(), DATASET, tmp_path)
    idle = ["unused.weight", "unused.bias", "silent.weight", "silent.bias"]
    assert seen["gradient_steps"] == 10
    assert seen["without_gradient"] == idle
    assert seen["unmoved"] == idle


def test_a_part_that_was_frozen_on_purpose_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> nn.Module:
        network = small_network()
        network[0].requires_grad_(False)
        return network

    use_network(monkeypatch, make)
    seen = health_of(tiny_run(), DATASET, tmp_path)
    assert seen["unmoved"] == seen["without_gradient"] == seen["not_in_optimizer"] == []


def test_a_bias_that_batch_normalisation_takes_away_is_not_called_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> nn.Module:
        network = small_network()
        nn.init.constant_(network[0].bias, 10.0)  # so that the rounding of its gradient is lost in it
        return network

    build = use_network(monkeypatch, make)
    run = tiny_run()
    assert health_of(run, DATASET, tmp_path)["unmoved"] == []
    assert torch.equal(kept_weights(tmp_path, run)["0.bias"], build(run).state_dict()["0.bias"])


def test_channels_that_are_zero_on_every_picture_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> nn.Module:
        network = small_network()
        with torch.no_grad():
            network[3].bias[:6] = -1000.0
        return network

    use_network(monkeypatch, make)
    dead = health_of(tiny_run(), DATASET, tmp_path)["dead_channels"]
    assert dead == {"1": 0.0, "3": 0.75}


class Functional(nn.Module):
    """Activations called as functions, in place and not, bounded and not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.second = nn.Linear(4, 5)
        with torch.no_grad():
            self.first.weight.zero_()
            self.first.bias.copy_(torch.tensor([-1.0, 1.0, 2.0, -3.0]))
            self.second.weight.zero_()
            self.second.bias.copy_(torch.tensor([1.0, -1.0, 1.0, 1.0, 1.0]))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        maps = F.relu_(self.first(inputs)).mean(dim=(2, 3))
        return torch.clamp_min(F.gelu(F.relu6(self.second(maps))), 0.0)


def test_activations_are_seen_however_they_are_called() -> None:
    network, inputs = Functional(), torch.randn(6, 3, 2, 2)
    expected = network(inputs)
    with DeadChannels(network) as channels, torch.inference_mode():
        assert torch.equal(network(inputs), expected)
    assert channels.shares() == {"first": 0.5, "second": pytest.approx(0.2)}
    assert not any(layer._forward_pre_hooks for layer in network.modules())


def test_activations_inside_a_compiled_normalisation_are_seen_as_those_after_it() -> None:
    if (reason := normalization.unavailable()) is not None:
        pytest.skip(reason)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)
    ).eval()
    with torch.no_grad():
        network[1].bias[:3] = -100.0
    inputs = torch.randn(4, 3, 8, 8).to(memory_format=torch.channels_last)
    found = []
    for fused in (False, True):
        if fused:
            normalization.install(network)
        with DeadChannels(network) as channels, torch.inference_mode():
            network(inputs)
        found.append(channels.shares())
    assert found == [{"1": 3 / 8}, {"1": 3 / 8}]


def test_a_channel_that_one_of_several_batches_wakes_is_alive() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU())
    nn.init.ones_(network[0].weight)
    with DeadChannels(network) as channels, torch.inference_mode():
        network(-torch.ones(2, 3, 2, 2))
        assert channels.shares() == {"0": 1.0}
        network(torch.ones(2, 3, 2, 2))
    assert channels.shares() == {"0": 0.0}


def test_the_ends_accuracies_are_those_of_the_last_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = use_network(monkeypatch, small_network)
    run = tiny_run()
    records, result = trained(run, DATASET, tmp_path)
    seen = result.health
    assert seen is not None
    network = build(run)
    network.load_state_dict(kept_weights(tmp_path, run))
    network.eval()

    def predicted(indices: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(np.array(DATASET.train.pixels[indices])).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            return network((images - 0.45) / 0.2).argmax(1).numpy()

    splits = split_indices(DATASET, run)
    labels = DATASET.train.labels
    assert seen["train_accuracy"] == (predicted(splits.train) == labels[splits.train]).mean()
    assert seen["train_pictures"] == len(splits.train) == 72
    assert seen["predicted_on"] == "validation"
    assert seen["predicted"] == np.bincount(predicted(splits.validation), minlength=4).tolist()
    assert seen["labels"] == np.bincount(labels[splits.validation], minlength=4).tolist()
    assert seen["accuracy"] == records[-1].val_accuracy
    with torch.no_grad():
        answer = int(network(torch.zeros(1, 3, 8, 8)).argmax())
    assert seen["blank_accuracy"] == (labels[splits.validation] == answer).mean()


def test_without_a_validation_split_the_training_pictures_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, small_network)
    seen = health_of(tiny_run(study={"data": {"validation": 0}}), DATASET, tmp_path)
    assert seen["predicted_on"] == "training"
    assert sum(seen["predicted"]) == sum(seen["labels"]) == seen["train_pictures"] == 96
    assert seen["accuracy"] == seen["train_accuracy"]


@pytest.mark.parametrize(
    ("pictures", "epochs", "scored"), [(45_000, 30, 2000), (45_000, 1, 1350), (476, 3, 476), (1000, 3, 500)]
)
def test_the_clean_sample_is_bounded_and_spread_over_all(pictures: int, epochs: int, scored: int) -> None:
    indices = np.arange(pictures) * 2
    sample = clean_sample(indices, epochs)
    assert len(sample) == len(set(sample)) == scored
    assert {0, indices[-1]} <= set(sample) <= set(indices)


def test_a_run_stopped_after_every_step_ends_with_the_same_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, small_network)
    run = tiny_run(batch_size=24)
    whole = health_of(run, DATASET, tmp_path / "whole")
    stops = 0
    while True:
        asked = iter([True])
        try:
            hooks = Hooks(stop=lambda asked=asked: next(asked, False))  # type: ignore[misc]
            _, result = trained(run, DATASET, tmp_path / "pieces", hooks=hooks)
            break
        except Interrupted:
            stops += 1
    assert stops == 9
    assert result.health == whole
    assert len(whole["loss_course"]) == 9


def test_losses_wait_on_a_device_that_is_slow_to_ask_and_come_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, small_network)
    run = tiny_run()
    expected = health_of(run, DATASET, tmp_path / "cpu")
    own = health.Watch.stepped

    def stepped(watch: health.Watch, loss: torch.Tensor, pictures: int) -> None:
        with monkeypatch.context() as patch:  # as on a GPU
            patch.setattr(watch, "_settle", lambda: None)
            own(watch, loss, pictures)

    monkeypatch.setattr(health.Watch, "stepped", stepped)
    assert health_of(run, DATASET, tmp_path / "waiting") == expected


def test_a_checkpoint_from_before_there_was_health_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_network(monkeypatch, small_network)
    run = tiny_run()
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        trained(run, DATASET, tmp_path, hooks=Hooks(stop=lambda: next(asked)))
    state = checkpoint.load(tmp_path, run.id, pytest.fail)
    assert state is not None
    own_dumps = json.dumps
    with monkeypatch.context() as patch:
        patch.setattr(
            checkpoint.json, "dumps", lambda plain: own_dumps({k: v for k, v in plain.items() if k != "health"})
        )
        checkpoint.save(tmp_path, state)
    seen = health_of(run, DATASET, tmp_path)
    assert seen["watched_from"] == 2
    assert seen["initial_loss"] is None
    assert seen["steps"] == 13
    assert seen["updates"]


def test_a_result_from_before_there_was_health_is_read(tmp_path: Path) -> None:
    plain = {"status": "done", "test_loss": 1.0, "test_accuracy": 0.5, "seconds_test": 1.0, "message": None}
    event = event_from_line(json.dumps({"kind": "Ended", "run_id": "a", "result": plain}))
    assert isinstance(event, Ended)
    assert event.result.health is None


def test_what_was_seen_passes_from_worker_to_driver_and_through_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, small_network)
    run = tiny_run()
    _, result = trained(run, DATASET, tmp_path)
    assert event_from_line(event_to_line(Ended(run.id, result))) == Ended(run.id, result)
    assert trained(run, DATASET, tmp_path)[1] == result
    assert json.loads(json.dumps(result.health, allow_nan=False)) == result.health


def test_a_diverged_run_keeps_what_was_seen_up_to_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [nn.Linear(192, 32), nn.Linear(32, 32), nn.Linear(32, 4)]
    use_network(monkeypatch, lambda: nn.Sequential(nn.Flatten(), *copy.deepcopy(layers)))
    _, result = trained(tiny_run(learning_rate=1000.0), DATASET, tmp_path)
    assert result.status is RunStatus.DIVERGED
    seen = result.health
    assert seen is not None
    assert any("loss became" in event for event in seen["nonfinite"])
    assert seen["initial_loss"] is not None
    assert seen["train_accuracy"] is None
    json.dumps(seen, allow_nan=False)


class Overflowing(nn.Module):
    """A network one of whose gradients is infinite, though its loss is not."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small_network()
        self.root = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.body(inputs) + self.root.abs().sqrt()


def test_gradients_and_weights_that_are_not_finite_are_told_with_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(monkeypatch, Overflowing)
    run = tiny_run(batch_size=72, epochs=1)  # one step, after which no loss is left to show it
    _, result = trained(run, DATASET, tmp_path)
    assert result.status is RunStatus.DONE
    assert result.health is not None
    assert result.health["nonfinite"] == ["gradient of root at step 1 of epoch 1", "root at the end"]


def test_too_little_memory_loses_nothing_that_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = use_network(monkeypatch, small_network)

    class Limited(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = build(run)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            if self.training and len(inputs) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.inner(inputs)

    run = tiny_run()
    monkeypatch.setattr(trainer, "build_network", lambda *given: Limited())
    seen = health_of(run, DATASET, tmp_path)
    assert seen["steps"] == 15
    assert seen["unmoved"] == []
    assert seen["initial_pictures"] == 16
