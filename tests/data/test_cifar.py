"""CIFAR's pickles are read, and can do nothing but be read."""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bakeoff.data import prepare
from bakeoff.data.unpickle import read_batch
from bakeoff.errors import DataError, SpecError

from .conftest import CIFAR_NAMES, python2_pickle


def text(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value


def test_pixels_labels_and_names_come_out_as_they_were(cifar_folder: Path, cifar_pixels: np.ndarray[Any, Any]) -> None:
    dataset = prepare("cifar10", data_dir=cifar_folder.parent)
    assert dataset.name == "cifar10"
    assert dataset.classes == tuple(name.decode() for name in CIFAR_NAMES)
    assert (np.asarray(dataset.train.pixels) == cifar_pixels[:5].reshape(100, 32, 32, 3)).all()
    assert (np.asarray(dataset.test.pixels) == cifar_pixels[5]).all()
    assert list(dataset.train.labels) == [number % 10 for number in range(20)] * 5
    assert dataset.validation is None
    assert dataset.flippable


def test_a_path_to_the_batches_or_to_what_holds_them_is_recognised(cifar_folder: Path) -> None:
    by_name = prepare("cifar10", data_dir=cifar_folder.parent)
    assert prepare(str(cifar_folder)).fingerprint == by_name.fingerprint
    assert prepare(str(cifar_folder.parent)).fingerprint == by_name.fingerprint


def test_a_tar_of_the_batches_is_recognised(cifar_folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "batches.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(cifar_folder, cifar_folder.name)
    dataset = prepare(str(archive))
    assert (dataset.name, len(dataset.train)) == ("cifar10", 100)


def test_an_archive_with_another_checksum_is_refused_and_kept(tmp_path: Path) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(b"half of it")
    with pytest.raises(DataError, match="c58f30108f718f92721af3b95e74349a"):
        prepare("cifar10", data_dir=tmp_path)
    assert archive.read_bytes() == b"half of it"


def test_cifar100_is_read_by_its_fine_labels(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    names = [f"class {number}".encode() for number in range(100)]
    for name in ("train", "test"):
        data = np.zeros((200, 3072), dtype=np.uint8)
        labels = [number % 100 for number in range(200)]
        content = {b"coarse_labels": [0] * 200, b"fine_labels": labels, b"data": data}
        (folder / name).write_bytes(python2_pickle(content))
    (folder / "meta").write_bytes(python2_pickle({b"fine_label_names": names, b"coarse_label_names": [b"all"]}))
    dataset = prepare("cifar100", data_dir=tmp_path)
    assert len(dataset.classes) == 100
    assert list(dataset.test.labels) == labels
    assert dataset.std == (1.0, 1.0, 1.0)  # black pictures have no contrast to scale


def test_a_missing_batch_is_named(cifar_folder: Path) -> None:
    (cifar_folder / "data_batch_3").unlink()
    with pytest.raises(DataError, match="lacks data_batch_3"):
        prepare("cifar10", data_dir=cifar_folder.parent)


def test_another_size_than_its_own_is_refused(cifar_folder: Path) -> None:
    with pytest.raises(SpecError, match="size = 64"):
        prepare("cifar10", size=64, data_dir=cifar_folder.parent)
    assert prepare("cifar10", size=32, data_dir=cifar_folder.parent).size == 32


@pytest.mark.parametrize("protocol", [None, 2, 3, 4, 5])
def test_a_batch_of_any_python_is_read(tmp_path: Path, protocol: int | None) -> None:
    def dump(value: Any) -> bytes:
        return python2_pickle(value) if protocol is None else pickle.dumps(value, protocol)

    path = tmp_path / "batch"
    data = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
    path.write_bytes(dump({b"data": data, b"labels": [0, 1, 2], b"filenames": [b"a", b"b\xff", b"c"]}))
    batch = read_batch(path)
    assert (batch["data"] == data).all()
    assert batch["labels"] == [0, 1, 2]
    assert batch["filenames"] == [b"a", b"b\xff", b"c"]


class Caller:
    """Pickles to a call of any function with any argument."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def proof(path: Path) -> Caller:
    return Caller(exec, f"open({str(path)!r}, 'w').close()")


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_something_is_refused_by_its_name_and_nothing_runs(tmp_path: Path, protocol: int) -> None:
    path, trace = tmp_path / "batch", tmp_path / "it ran"
    path.write_bytes(pickle.dumps({b"data": proof(trace)}, protocol=protocol))
    with pytest.raises(DataError, match=r"builtin.*exec|_codecs|copyreg|copy_reg"):
        read_batch(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "name", ["os\nsystem", "builtins\neval", "numpy\nload", "numpy.core.multiarray\nscalar", "_codecs\ndecode"]
)
def test_only_what_describes_an_array_can_be_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "batch"
    path.write_bytes(b"c" + name.encode() + b"\n.")
    with pytest.raises(DataError, match="asks for") as error:
        read_batch(path)
    for part in name.split("\n"):
        assert repr(part) in str(error.value)


def test_an_array_of_pointers_is_refused_before_numpy_sees_it(tmp_path: Path) -> None:
    """numpy itself would take these bytes for addresses of objects, as the flags that forbid it are cleared."""
    flags = b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    dtype = b"cnumpy\ndtype\n(" + text(b"O") + b"K\x00K\x01tR(K\x03" + text(b"|") + flags
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"tR"
    state = b"(K\x01(K\x04t" + dtype + b"\x89" + text(b"A" * 32) + b"tb"
    path = tmp_path / "batch"
    path.write_bytes(b"\x80\x02}(" + text(b"data") + array + state + b"u.")
    with pytest.raises(DataError, match="another type than uint8"):
        read_batch(path)


def test_a_memo_number_out_of_all_proportion_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    path.write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")  # stores one value under number 2,147,483,647
    assert read_batch(path) == {}


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", b"\x80\x02](K\x01e.", b"\x80\x02}r"])
def test_what_is_no_batch_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "batch"
    path.write_bytes(content)
    with pytest.raises(DataError, match="must be a batch of the official archive"):
        read_batch(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"labels": [0, 1]}, "a label from 0 to 9 for each of its 20"),
        ({b"labels": [10] * 20}, "a label from 0 to 9"),
        ({b"labels": [-1] * 20}, "a label from 0 to 9"),
        ({b"labels": [b"cat"] * 20}, "a label from 0 to 9"),
        ({b"data": np.zeros((20, 3071), dtype=np.uint8)}, "3072"),
        ({b"data": np.zeros((0, 3072), dtype=np.uint8), b"labels": []}, "3072"),
        ({b"data": [1, 2, 3]}, "uint8 pixels"),
    ],
)
def test_a_batch_of_another_shape_is_refused(cifar_folder: Path, change: dict[bytes, Any], message: str) -> None:
    content = {b"labels": [0] * 20, b"data": np.zeros((20, 3072), dtype=np.uint8)} | change
    (cifar_folder / "data_batch_2").write_bytes(python2_pickle(content))
    with pytest.raises(DataError, match=message):
        prepare("cifar10", data_dir=cifar_folder.parent)
