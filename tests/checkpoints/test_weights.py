"""Weights on disk: what is written is read, by us and by the published readers, bit by bit."""

import errno
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.checkpoints import weights_writer
from bothways.checkpoints.weights import open_weights, sha256_of
from bothways.checkpoints.weights_writer import write_weights
from bothways.errors import CheckpointError

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
]


def random_tensor(dtype: torch.dtype, shape: list[int], seed: int) -> torch.Tensor:
    """Any bits: NaN, infinities and subnormals included."""
    generator = torch.Generator().manual_seed(seed)
    n_bytes = torch.empty(shape, dtype=dtype).nbytes
    raw = torch.randint(0, 2 if dtype == torch.bool else 256, (n_bytes,), generator=generator, dtype=torch.uint8)
    return raw.view(dtype).reshape(shape)


def bits(tensor: torch.Tensor) -> tuple:
    return tensor.dtype, tuple(tensor.shape), bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist())


def read_all(directory: Path, **options) -> dict[str, torch.Tensor]:
    with open_weights(directory, **options) as weights:
        return {name: weights.load(name) for name in weights.names()}


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


tensor_sets = st.dictionaries(
    st.text(st.characters(categories=["L", "N", "P"]), max_size=12).filter(lambda name: name != "__metadata__"),
    st.builds(random_tensor, st.sampled_from(DTYPES), st.lists(st.integers(0, 5), max_size=3), st.integers(0, 2**32)),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(tensors=tensor_sets, max_shard_size=st.integers(1, 400))
def test_written_weights_are_read_bitwise_by_us_and_by_the_reference(tensors, max_shard_size, tmp_path_factory):
    from safetensors.torch import load_file

    directory = tmp_path_factory.mktemp("weights")
    written = write_weights(directory, tensors, max_shard_size=max_shard_size)

    expected = {name: bits(tensor) for name, tensor in tensors.items()}
    assert {name: bits(tensor) for name, tensor in read_all(directory).items()} == expected
    theirs = {}
    for path in written:
        if path.suffix == ".safetensors":
            shard = load_file(path)
            assert len(shard) < 2 or sum(tensor.nbytes for tensor in shard.values()) <= max_shard_size
            theirs |= {name: bits(tensor) for name, tensor in shard.items()}
    assert theirs == expected
    assert files(directory) == sorted(path.name for path in written)


@settings(max_examples=30, deadline=None)
@given(tensors=tensor_sets)
def test_what_the_reference_writes_is_read_bitwise(tensors, tmp_path_factory):
    from safetensors.torch import save_file

    directory = tmp_path_factory.mktemp("reference")
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt", "note": "é"})
    with open_weights(directory) as weights:
        assert weights.metadata == {"format": "pt", "note": "é"}
        assert {name: (weights.dtype(name), weights.shape(name)) for name in weights.names()} == {
            name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()
        }
        assert {name: bits(weights.load(name)) for name in weights.names()} == {n: bits(t) for n, t in tensors.items()}


def test_loaded_tensors_own_their_memory(tmp_path):
    write_weights(tmp_path, {"a": torch.ones(3)})
    first = read_all(tmp_path)["a"]
    first.zero_()
    assert read_all(tmp_path)["a"].tolist() == [1, 1, 1]


def test_unknown_name_and_closed_weights_are_sentences(tmp_path):
    write_weights(tmp_path, {"encoder.weight": torch.ones(3)})
    with (
        open_weights(tmp_path) as weights,
        pytest.raises(CheckpointError, match="no tensor 'encoder.wieght'.*: encoder.weight"),
    ):
        weights.load("encoder.wieght")
    with pytest.raises(CheckpointError, match="was closed before tensor 'encoder.weight' was read"):
        weights.load("encoder.weight")


def test_index_is_the_ecosystems(tmp_path):
    tensors = {name: torch.ones(10) * i for i, name in enumerate("abc")}
    written = write_weights(tmp_path, tensors, max_shard_size="80B")
    assert [path.name for path in written] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    index = json.loads(written[-1].read_text())
    assert index == {
        "metadata": {"total_size": 120},
        "weight_map": {"a": written[0].name, "b": written[0].name, "c": written[1].name},
    }


@pytest.mark.parametrize(
    ("size", "shards"), [(79, 2), (80, 1), ("80", 1), ("0.1KB", None), ("1KB", 1), ("1KiB", 1), (" 5 gb ", 1)]
)
def test_shard_sizes(size, shards, tmp_path):
    tensors = {"a": torch.ones(10), "b": torch.ones(10)}
    if shards is None:
        with pytest.raises(CheckpointError, match=r"max_shard_size='0.1KB' is not a size"):
            write_weights(tmp_path, tensors, max_shard_size=size)
    else:
        assert len(list(tmp_path.glob("*"))) == 0
        write_weights(tmp_path, tensors, max_shard_size=size)
        assert len(list(tmp_path.glob("*.safetensors"))) == shards


@pytest.mark.parametrize("size", [0, -1, "many", "5XB", "", True, 1.5])
def test_impossible_shard_sizes_are_refused(size, tmp_path):
    with pytest.raises(CheckpointError, match="is not a size"):
        write_weights(tmp_path, {}, max_shard_size=size)


def test_new_weights_replace_those_of_an_earlier_save_and_nothing_else(tmp_path):
    (tmp_path / "model-card.md").write_text("kept")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"kept")
    others = ["adapter_model.safetensors", "model-card.md"]
    many = {name: torch.ones(10) for name in "abc"}
    write_weights(tmp_path, many, max_shard_size=40)
    assert len(files(tmp_path)) == 4 + 2
    write_weights(tmp_path, many, max_shard_size=80)
    assert len(files(tmp_path)) == 3 + 2
    write_weights(tmp_path, {"z": torch.zeros(1)})
    assert files(tmp_path) == sorted([*others, "model.safetensors"])
    assert set(read_all(tmp_path)) == {"z"}
    write_weights(tmp_path, many, max_shard_size=80)
    assert len(files(tmp_path)) == 3 + 2
    assert set(read_all(tmp_path)) == {"a", "b", "c"}


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_full_disk_leaves_the_earlier_save(fail_at, tmp_path, monkeypatch):
    old = {name: torch.ones(10) for name in "abc"}
    write_weights(tmp_path, old, max_shard_size=40)
    before = {path.name: sha256_of(path) for path in tmp_path.iterdir()}
    write_file, calls = weights_writer.write_file, []

    def full(path, *rest):
        calls.append(path)
        if len(calls) == fail_at:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        write_file(path, *rest)

    monkeypatch.setattr(weights_writer, "write_file", full)
    with pytest.raises(CheckpointError, match=r"is full: the weights need 120 bytes .* and [\d,]+ are free") as problem:
        write_weights(tmp_path, {name: tensor * 2 for name, tensor in old.items()}, max_shard_size=40)
    assert isinstance(problem.value.__cause__, OSError)
    assert {path.name: sha256_of(path) for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_real_full_device_is_reported(tmp_path, monkeypatch):
    real = weights_writer.write_file
    monkeypatch.setattr(weights_writer, "write_file", lambda path, *rest: real(Path("/dev/full"), *rest))
    with pytest.raises(CheckpointError, match="need 400,000 bytes"):
        write_weights(tmp_path, {"a": torch.ones(100_000)})
    assert files(tmp_path) == []


def test_other_errors_of_the_system_keep_their_type(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        write_weights(tmp_path / "file" / "below", {"a": torch.ones(1)})


def test_tensors_that_share_memory_are_named_and_not_written(tmp_path):
    a, c = torch.ones(4, 4), torch.ones(2)
    with pytest.raises(CheckpointError, match=r"4 tensors share memory: a and b; c and d\. Save one of each group"):
        write_weights(tmp_path, {"a": a, "b": a[2:], "c": c, "d": c, "e": torch.ones(1)})
    assert files(tmp_path) == []
    flat = torch.arange(10.0)
    write_weights(tmp_path, {"first": flat[:5], "second": flat[5:], "none": flat[:0]})  # apart: no memory is shared
    assert read_all(tmp_path)["second"].tolist() == [5, 6, 7, 8, 9]


def test_metadata_is_text(tmp_path):
    write_weights(tmp_path, {"a": torch.ones(1)}, metadata={"format": "pt", "step": "3"})
    with open_weights(tmp_path) as weights:
        assert weights.metadata == {"format": "pt", "step": "3"}
    with pytest.raises(CheckpointError, match="The metadata step must be text"):
        write_weights(tmp_path, {"a": torch.ones(1)}, metadata={"step": 3})


def test_index_is_renamed_last(tmp_path, monkeypatch):
    """A save that is killed between two renames leaves no index that names files of another save."""
    replace, renamed = os.replace, []

    def recording(source, target):
        renamed.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", recording)
    write_weights(tmp_path, {name: torch.ones(10) for name in "abc"}, max_shard_size=40)
    assert len(renamed) == 4
    assert renamed[-1] == "model.safetensors.index.json"


def test_views_are_written_as_they_look(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    write_weights(tmp_path, {"t": base.t(), "every_second": torch.arange(6)[::2], "scalar": torch.tensor(3.0)})
    loaded = read_all(tmp_path)
    assert torch.equal(loaded["t"], base.t())
    assert loaded["t"].is_contiguous()
    assert loaded["every_second"].tolist() == [0, 2, 4]
    assert loaded["scalar"].shape == ()


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        (
            "c",
            torch.ones(1, dtype=torch.complex64),
            "'c' is torch.strided torch.complex64 and cannot be written; known: F64",
        ),
        ("s", torch.eye(2).to_sparse(), "torch.sparse_coo"),
        ("m", torch.ones(2, device="meta"), "on the meta device, without data"),
        ("__metadata__", torch.ones(2), "'__metadata__' has the name of the metadata; it cannot be written"),
        ("a\nb", torch.ones(2), r"'a\\nb' has characters in its name that cannot be printed"),
    ],
)
def test_what_the_format_lacks_is_refused(name, tensor, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        write_weights(tmp_path, {name: tensor})


def test_links_to_blobs_are_followed_as_in_the_hubs_cache(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    write_weights(blobs, {"a": torch.ones(2)})
    (blobs / "model.safetensors").rename(blobs / "53aa51")
    snapshot.mkdir()
    os.symlink("../blobs/53aa51", snapshot / "model.safetensors")
    assert read_all(snapshot)["a"].tolist() == [1, 1]


def test_single_file_comes_before_an_index(tmp_path):
    write_weights(tmp_path, {"a": torch.ones(2)})
    (tmp_path / "model.safetensors.index.json").write_text("damaged")
    assert list(read_all(tmp_path)) == ["a"]


def test_directory_without_weights_says_what_it_has(tmp_path):
    (tmp_path / "tf_model.h5").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"has no model.safetensors and no .*index.json. It has: tf_model.h5\."):
        open_weights(tmp_path)


def test_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


class TestPickles:
    @pytest.mark.parametrize("new_format", [True, False])
    def test_needs_opt_in_and_is_read_with_it(self, new_format, tmp_path):
        state = {"a": torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).t()), "b": torch.ones(1).half()}
        torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=new_format)
        with pytest.raises(CheckpointError, match="only as pytorch_model.bin, a pickle.*use_safetensors=False"):
            open_weights(tmp_path)
        loaded = read_all(tmp_path, allow_pickle=True)
        assert {name: bits(tensor) for name, tensor in loaded.items()} == {
            n: bits(t.detach()) for n, t in state.items()
        }
        assert not loaded["a"].requires_grad
        assert loaded["a"].is_contiguous()

    def test_shards(self, tmp_path):
        torch.save({"a": torch.ones(1)}, tmp_path / "1.bin")
        torch.save({"b": torch.ones(2)}, tmp_path / "2.bin")
        index = tmp_path / "pytorch_model.bin.index.json"
        index.write_text(json.dumps({"weight_map": {"a": "1.bin", "b": "2.bin"}}))
        assert {name: tensor.numel() for name, tensor in read_all(tmp_path, allow_pickle=True).items()} == {
            "a": 1,
            "b": 2,
        }
        index.write_text(json.dumps({"weight_map": {"a": "../1.bin"}}))
        with pytest.raises(CheckpointError, match="contains /"):
            open_weights(tmp_path, allow_pickle=True)

    def test_safetensors_come_first(self, tmp_path):
        (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
        write_weights(tmp_path, {"a": torch.ones(2)})
        assert list(read_all(tmp_path, allow_pickle=True)) == ["a"]

    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    def test_code_is_never_run(self, tmp_path):
        class Attack:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "owned"),)

        for content in (pickle.dumps({"a": Attack()}), b"garbage", b""):
            (tmp_path / "pytorch_model.bin").write_bytes(content)
            with pytest.raises(CheckpointError, match="not a pickle of plain tensors, or is damaged"):
                open_weights(tmp_path, allow_pickle=True)
        torch.save({"a": Attack()}, tmp_path / "pytorch_model.bin")
        with pytest.raises(CheckpointError, match="not a pickle of plain tensors.*not opened in any other way"):
            open_weights(tmp_path, allow_pickle=True)
        assert not (tmp_path / "owned").exists()

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ([torch.ones(1)], "holds a list; a dictionary of tensors was expected"),
            ({"epoch": 3}, "holds 'epoch', a int; only named tensors"),
            ({7: torch.ones(1)}, "holds '7', a Tensor"),
            (
                {"big": torch.ones(1).expand(2**40)},
                r"'big' of shape \(1099511627776,\) needs 4,398,046,511,104 bytes; the file has 4",
            ),
            ({"s": torch.eye(2).to_sparse()}, "'s' is torch.sparse_coo"),
        ],
    )
    def test_other_contents_are_refused(self, value, message, tmp_path):
        torch.save(value, tmp_path / "pytorch_model.bin")
        with pytest.raises(CheckpointError, match=message):
            open_weights(tmp_path, allow_pickle=True)
