"""Networks by name: as published where asked, with random weights from the caller's seed, and clear words where not."""

from __future__ import annotations

import sys

import pytest
import torch
import torchvision.models

from bakeoff import cost
from bakeoff.errors import MissingExtraError, SpecError
from bakeoff.models import available, build, check_early_size, check_name


@pytest.mark.parametrize(("name", "size"), [("resnet18", 32), ("mobilenet_v2", 32), ("alexnet", 64)])
def test_the_original_stem_gives_torchvisions_network_to_the_bit(name: str, size: int) -> None:
    torch.manual_seed(5)
    built = build(name, classes=10, stem="original", size=size)
    torch.manual_seed(5)
    published = torchvision.models.get_model(name, num_classes=10).state_dict()
    ours = built.module.state_dict()
    assert built.changes == ()
    assert list(ours) == list(published)
    assert all(torch.equal(ours[key], published[key]) for key in published)
    assert built.module.training


def test_the_small_stem_keeps_the_names_of_torchvisions_weights() -> None:
    with torch.device("meta"):
        for name in ("resnet18", "mobilenet_v2", "alexnet"):
            ours = build(name, classes=10, stem="small", size=32).module.state_dict()
            assert list(ours) == list(torchvision.models.get_model(name, num_classes=10).state_dict())


@pytest.mark.parametrize("stem", ["original", "small"])
def test_weights_follow_the_seed_and_nothing_else(stem: str) -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(build("resnet18", classes=10, stem=stem, size=32).module.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["conv1.weight"], states[2]["conv1.weight"])


def test_mobilenet_v1_has_the_counts_that_its_paper_prints() -> None:
    with torch.device("meta"):
        network = build("mobilenet_v1", classes=1000, stem="original", size=224).module
    assert cost.macs(network, 224) / 1e6 == pytest.approx(569, abs=1)  # Howard et al. 2017, table 4
    assert cost.parameters(network) == 4_231_976  # Keras' trainable parameters of the same network
    assert build("mobilenet_v1", classes=3, stem="small", size=32).module(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_side_outputs_are_built_without_them(name: str) -> None:
    network = build(name, classes=4, stem="original", size=96).module
    assert isinstance(network(torch.zeros(2, 3, 96, 96)), torch.Tensor)


def test_alexnet_as_published_cannot_take_32_pixels_and_the_message_says_what_to_do() -> None:
    with pytest.raises(SpecError, match=r"alexnet .*32x32.*too small.*stem = \"small\".*`resize` .*\(64 works\)"):
        build("alexnet", classes=10, stem="original", size=32)


def test_speednet_that_refuses_8_pixels_names_a_size_that_it_takes() -> None:
    with pytest.raises(SpecError, match=r"speednet .*8x8 pixels.*small; set `resize` in the view \(16 works\)"):
        build("speednet", classes=10, stem="small", size=8)


@pytest.mark.parametrize("size", [8, 12, 28, 64])
def test_alexnet_with_the_small_stem_works_from_8_pixels_up(size: int) -> None:
    with torch.device("meta"):
        built = build("alexnet", classes=10, stem="small", size=size)
        assert built.module.eval()(torch.zeros(2, 3, size, size)).shape == (2, 10)
    assert "features.0: 11x11 stride 4 -> 3x3 stride 1" in built.changes
    for pool in (2, 5, 12):  # a pool is removed or padded, and either is said
        layer = built.module.features[pool]
        said = f"features.{pool}: " + (
            "padding 0 -> 1" if isinstance(layer, torch.nn.MaxPool2d) else "MaxPool2d removed"
        )
        assert said in built.changes


def test_alexnets_linear_layer_reads_the_map_as_it_is_where_it_is_smaller_than_6x6() -> None:
    built = build("alexnet", classes=10, stem="small", size=32)
    maps = built.module.features(torch.zeros(1, 3, 32, 32))
    assert maps.shape == (1, 256, 4, 4)
    assert torch.equal(built.module.avgpool(maps), maps)
    assert built.module.classifier[1].weight.shape == (4096, 4096)
    assert built.changes[1:3] == ("avgpool: 6x6 -> 4x4", "classifier.1: 9216 -> 4096 inputs")


def test_alexnet_at_224_pixels_needs_no_change() -> None:
    with torch.device("meta"):
        assert build("alexnet", classes=10, stem="small", size=224).changes == ()


def test_a_network_of_fixed_size_says_so_and_what_to_do() -> None:
    with (
        torch.device("meta"),
        pytest.raises(SpecError, match=r"vit_b_16 at 32 pixels.*one size only.*\"original\".*resize"),
    ):
        build("vit_b_16", classes=10, stem="small", size=32)
    with torch.device("meta"), pytest.raises(SpecError, match=r"vit_b_16 .*32x32.*\(224 works\)"):
        build("vit_b_16", classes=10, stem="original", size=32)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("resnet-18", "resnet18"), ("mobilenetv2", "mobilenet_v2"), ("AlexNet", "alexnet"), ("vgg11bn", "vgg11_bn")],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(SpecError, match=f"'{name}'.*did you mean '{nearest}'"):
        check_name(name)


@pytest.mark.parametrize("name", ["fasterrcnn_resnet50_fpn", "deeplabv3_resnet50", "r3d_18", "quantized_resnet18", ""])
def test_networks_that_do_not_classify_pictures_are_unknown(name: str) -> None:
    with pytest.raises(SpecError):
        check_name(name)


def test_checking_a_name_builds_nothing() -> None:
    drawn = torch.get_rng_state()
    for name in ("resnet18", "vgg19", "mobilenet_v1"):
        check_name(name)
    assert torch.equal(torch.get_rng_state(), drawn)


def test_the_papers_networks_are_listed_first_and_each_name_once() -> None:
    infos = available()
    names = [info.name for info in infos]
    assert names[:5] == ["resnet18", "alexnet", "mobilenet_v2", "mobilenet_v1", "speednet"]
    assert len(set(names)) == len(names)
    assert {info.source for info in infos} == {"torchvision", "bakeoff"}
    assert {"vgg11_bn", "densenet121", "vit_b_16"} <= set(names)
    for name in names:
        check_name(name)


def test_timms_networks_have_a_prefix_and_timms_weights() -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    built = build("timm/resnet10t", classes=5, stem="original", size=32)
    torch.manual_seed(0)
    published = timm.create_model("resnet10t", num_classes=5).state_dict()
    ours = built.module.state_dict()
    assert all(torch.equal(ours[key], published[key]) for key in published)
    with pytest.raises(SpecError, match=r"resnet10x.*did you mean 'timm/resnet10"):
        check_name("timm/resnet10x")
    with pytest.raises(SpecError):  # timm would load it over the network
        check_name("timm/hf-hub:someone/network")


def test_without_timm_its_networks_name_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"bakeoff\[timm\]"):
        check_name("timm/resnet10t")


def test_an_early_size_that_a_network_cannot_take_is_told_before_training() -> None:
    module = build("alexnet", classes=10, stem="original", size=64).module
    check_early_size(module, "alexnet", 63)
    with pytest.raises(SpecError, match=r"alexnet must accept the inputs of 8x8 pixels that `early_sizes`"):
        check_early_size(module, "alexnet", 8)
