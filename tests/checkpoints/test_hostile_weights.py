"""Every refusal of damaged or unsafe weights, with its message. The files are made here, byte by byte."""

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.checkpoints.weights import check_bare_name, open_weights
from bothways.checkpoints.weights_writer import write_weights
from bothways.errors import CheckpointError


def file_of(header, data: bytes = b"", *, length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(dtype="F32", shape=(2,), begin=0, end=8, **more) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


HEADERS = {
    "empty file": (b"", r"has 0 bytes; a safetensors file has 8 or more"),
    "seven bytes": (b"1234567", r"has 7 bytes"),
    "huge header": (file_of({}, length=100_000_001), r"header of 100,000,001 bytes; at most 100,000,000"),
    "negative as unsigned": (b"\xff" * 8, r"header of 18,446,744,073,709,551,615 bytes"),
    "header beyond the file": (file_of({}, length=50), r"header of 50 bytes but has only 2 bytes"),
    "no header": (file_of(b""), r"begins with b''"),
    "array": (file_of(b"[1]"), r"begins with b'\['"),
    "space first": (file_of(b' {"a":1}'), r"begins with b' '"),
    "not JSON": (file_of(b"{oops}"), r"not safetensors JSON: Expecting property name"),
    "not UTF-8": (file_of(b'{"\xff":1}'), r"not safetensors JSON: 'utf-8' codec"),
    "trailing JSON": (file_of(b"{}{}"), r"not safetensors JSON: Extra data"),
    "tensor twice": (
        file_of(
            b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
        ),
        r"the key 'a' occurs twice",
    ),
    "field twice": (
        file_of(b'{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
        r"'dtype' occurs twice",
    ),
    "deep": (file_of(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), r"nested too deeply"),
    "brackets": (file_of(b'{"a":[' + b"[]," * 400_000 + b"[]]}"), r"has 400,003 brackets; up to 400,000"),
    "number of 5,000 digits": (
        file_of(b'{"a":{"dtype":"U8","shape":[' + b"1" * 5000 + b'],"data_offsets":[0,0]}}'),
        r"a number of 5,000 digits",
    ),
    "float": (file_of({"a": tensor(shape=[2.0])}, bytes(8)), r"the number 2.0 is not an integer"),
    "NaN": (file_of({"a": tensor(shape=[float("nan")])}, bytes(8)), r"the number NaN is not an integer"),
    "true as a size": (file_of({"a": tensor("U8", [True], 0, 1)}, b"x"), r"impossible shape \[True\]"),
    "tensor is a list": (file_of({"a": [1]}), r"'a' must be described by dtype, shape and data_offsets"),
    "field missing": (file_of({"a": {"dtype": "F32", "shape": [2]}}), r"must be described by"),
    "field too much": (file_of({"a": tensor(code="x")}, bytes(8)), r"and nothing else"),
    "unknown dtype": (file_of({"a": tensor("F33")}, bytes(8)), r"unknown dtype 'F33'; known: F64, F32, F16, BF16"),
    "dtype is a number": (file_of({"a": tensor(7)}, bytes(8)), r"unknown dtype '7'"),
    "8-bit float": (file_of({"a": tensor("F8_E5M2", [8])}, bytes(8)), r"F8_E5M2, an 8-bit float.*Convert it to BF16"),
    "negative size": (file_of({"a": tensor(shape=[-2])}, bytes(8)), r"impossible shape \[-2\]"),
    "33 dimensions": (file_of({"a": tensor("U8", [1] * 33, 0, 1)}, b"x"), r"up to 32 sizes"),
    "shape is a number": (
        file_of({"a": {"dtype": "U8", "shape": 1, "data_offsets": [0, 1]}}, b"x"),
        r"impossible shape 1",
    ),
    "size of 2**64": (file_of({"a": tensor(shape=[2**64])}, bytes(8)), r"impossible shape \[18446744073709551616\]"),
    "product overflows to 0": (file_of({"a": tensor(shape=[2**32, 2**32], end=0)}), r"overflows 64 bits"),
    "product overflows beside 0": (file_of({"a": tensor(shape=[2**62, 2**62, 0], end=0)}), r"overflows 64 bits"),
    "bytes of the product overflow": (file_of({"a": tensor("F64", [2**61], 0, 0)}), r"overflows 64 bits"),
    "span too small": (file_of({"a": tensor(shape=[3])}, bytes(8)), r"F32 and shape \[3\] needs 12 bytes but has 8"),
    "span too large": (file_of({"a": tensor(shape=[1])}, bytes(8)), r"needs 4 bytes but has 8"),
    "offsets reversed": (
        file_of({"a": tensor(begin=8, end=0)}, bytes(8)),
        r"lies at bytes 8 to 0, but the data have 8",
    ),
    "offset negative": (file_of({"a": tensor(begin=-8, end=0)}, bytes(8)), r"data_offsets \[-8, 0\]"),
    "one offset": (
        file_of({"a": {"dtype": "U8", "shape": [], "data_offsets": [0]}}, b"x"),
        r"a begin and an end are expected",
    ),
    "truncated": (file_of({"a": tensor()}, bytes(7)), r"lies at bytes 0 to 8, but the data have 7 bytes"),
    "offset of 2**63": (file_of({"a": tensor(begin=2**63 - 9, end=2**63 - 1)}, bytes(8)), r"but the data have 8 bytes"),
    "same bytes twice": (
        file_of({"a": tensor(), "b": tensor()}, bytes(8)),
        r"'b' overlaps tensor 'a': it begins at byte 0 of the data, before byte 8",
    ),
    "overlap": (
        file_of({"a": tensor(), "b": tensor(begin=4, end=12)}, bytes(12)),
        r"begins at byte 4 of the data, before byte 8",
    ),
    "hole": (
        file_of({"a": tensor(), "b": tensor(begin=12, end=20)}, bytes(20)),
        r"4 bytes between tensor 'a' and tensor 'b' belong to no tensor",
    ),
    "hole at the start": (
        file_of({"a": tensor(begin=4, end=12)}, bytes(12)),
        r"4 bytes between the header and tensor 'a'",
    ),
    "bytes left over": (file_of({"a": tensor()}, bytes(11)), r"the last 3 bytes belong to no tensor"),
    "empty inside another": (
        file_of({"a": tensor(), "b": tensor(shape=[0], begin=4, end=4)}, bytes(8)),
        r"'b' overlaps tensor 'a'",
    ),
    "metadata is a list": (file_of({"__metadata__": ["pt"]}), r"__metadata__ is a list"),
    "metadata with a number": (file_of({"__metadata__": {"step": 3}}), r"__metadata__ 'step' is a int; only strings"),
    "lone surrogate": (file_of(b'{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'), r"cannot be printed"),
    "terminal escape": (file_of({"\x1b[2J": tensor()}, bytes(8)), r"tensor '\\x1b\[2J' has characters in its name"),
    "endless name": (file_of({"module." * 200: tensor()}, bytes(8)), r"has a name of 1,400 characters; up to 1,000"),
    "100,001 tensors": (
        file_of({f"t{i}": tensor("U8", [], i, i + 1) for i in range(100_001)}, bytes(100_001)),
        r"has 100,001 tensors; files with up to 100,000",
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_damaged_file_is_refused(name, tmp_path):
    content, message = HEADERS[name]
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as problem:
        open_weights(tmp_path)
    assert "model.safetensors" in str(problem.value)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../x.safetensors", "contains /"),
        ("/abs.safetensors", "contains /"),
        ("a/b.safetensors", "contains /"),
        ("C:\\x.safetensors", r"contains : \\"),
        ("C:x.safetensors", "contains :"),
        ("\\\\server\\x.safetensors", r"contains \\"),
        ("x.safetensors:stream", "contains :"),
        ("", "it is empty"),
        (".", "dot or a space"),
        ("..", "dot or a space"),
        ("x.safetensors.", "dot or a space"),
        ("x.safetensors ", "dot or a space"),
        ("x\0.safetensors", "control characters"),
        ("x\n.safetensors", "control characters"),
        ("\ud800.safetensors", "control characters"),
        ("nul.safetensors", "device on Windows"),
        ("COM1.a.safetensors", "device on Windows"),
        ("lpt³.safetensors", "device on Windows"),
        ("con .safetensors", "device on Windows"),
        ("x" * 300 + ".safetensors", "it has 312 characters"),
        (7, "it is not a text"),
        (None, "it is not a text"),
        (["x.safetensors"], "it is not a text"),
        ("x.bin", r"names that end in .safetensors are expected"),
    ],
)
def test_shard_name_that_is_not_a_bare_file_name_is_refused(name, why, tmp_path):
    index = json.dumps({"metadata": {}, "weight_map": {"a": name}})
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CheckpointError, match=why):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    "name", ["model-00001-of-00002.safetensors", "console.safetensors", "com10.safetensors", "é.bin"]
)
def test_honest_names_are_bare(name):
    assert check_bare_name(name, "index") == name


def sharded(directory: Path, weight_map: dict, shards: dict[str, dict]) -> None:
    for shard, tensors in shards.items():
        write_weights(directory / "one", tensors)
        (directory / "one" / "model.safetensors").rename(directory / shard)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


A, B = "a.safetensors", "b.safetensors"
ZERO, ONE = torch.zeros(2), torch.ones(2)
INDICES = {
    "missing shard": ({"x": A, "y": B}, {A: {"x": ZERO}}, r"1 of the 2 files .* are missing: b.safetensors"),
    "promised": ({"x": A, "y": A}, {A: {"x": ZERO}}, r"a.safetensors lacks 1 tensors that the index promises: 'y'"),
    "not named": ({"x": A}, {A: {"x": ZERO, "y": ONE}}, r"holds 1 tensors that the index does not name: 'y'"),
    "two shards": ({"x": A, "y": B}, {A: {"x": ZERO}, B: {"x": ZERO, "y": ONE}}, r"'x' is in two files, a.* and b"),
    "501 shards": ({f"x{i}": f"{i}.safetensors" for i in range(501)}, {}, r"names 501 files; up to 500"),
    "100,001 tensors": ({f"x{i}": A for i in range(100_001)}, {}, r"names 100,001 tensors; up to 100,000"),
    "empty": ({}, {}, r"has no weight_map"),
    "list": ([A], {}, r"has no weight_map"),
}


@pytest.mark.parametrize("name", INDICES)
def test_index_and_shards_that_contradict_each_other_are_refused(name, tmp_path):
    weight_map, shards, message = INDICES[name]
    sharded(tmp_path, weight_map, shards)
    with pytest.raises(CheckpointError, match=message):
        open_weights(tmp_path)


def test_index_with_a_key_twice_is_refused(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(f'{{"weight_map": {{"a": "{A}", "a": "{B}"}}}}')
    with pytest.raises(CheckpointError, match="has the key 'a' twice"):
        open_weights(tmp_path)


def test_neither_directory_nor_broken_link_nor_directory_as_file_is_read(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere is not a directory"):
        open_weights(tmp_path / "nowhere")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(CheckpointError, match="is not a file: it is a directory, a device or a broken link"):
        open_weights(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="is not a file"):
        open_weights(tmp_path)


def test_bool_bytes_other_than_0_and_1_are_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(file_of({"a": tensor("BOOL", [3], 0, 3)}, b"\0\1\7"))
    with open_weights(tmp_path) as weights, pytest.raises(CheckpointError, match="'a' is BOOL but holds the byte 7"):
        weights.load("a")


def test_file_that_is_cut_after_it_was_opened_is_an_error_and_not_a_crash(tmp_path):
    write_weights(tmp_path, {"a": torch.ones(100_000)})
    path = tmp_path / "model.safetensors"
    with open_weights(tmp_path) as weights:
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size - 4000)
        with pytest.raises(CheckpointError, match=r"became shorter .* tensor 'a' has 396,000 of 400,000 bytes"):
            weights.load("a")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_random_damage_is_refused_or_harmless(data, tmp_path_factory):
    """Any bytes in place of any others: the file is refused with a sentence, or read without a crash."""
    directory = tmp_path_factory.mktemp("damaged")
    write_weights(
        directory, {"a.weight": torch.ones(2, 3), "b": torch.tensor([True]), "c": torch.zeros(3, dtype=torch.int8)}
    )
    content = bytearray((directory / "model.safetensors").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        until = data.draw(st.integers(at, min(len(content), at + 4)))
        content[at:until] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"-", b"9", b'"', b"[", b"}", b"U8", b"F64"])
        )
    (directory / "model.safetensors").write_bytes(bytes(content))
    try:
        with open_weights(directory) as weights:
            for name in weights.names():
                assert tuple(weights.load(name).shape) == weights.shape(name)
    except CheckpointError as problem:
        assert str(problem).endswith((".", "?"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    header=st.dictionaries(
        st.sampled_from(["a", "b", "__metadata__"]) | st.text(max_size=3),
        json_values
        | st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "U8", "BOOL", "F8_E5M2"]) | json_values,
                "shape": st.lists(st.integers(-1, 4), max_size=3) | json_values,
                "data_offsets": st.lists(st.integers(-1, 16), min_size=2, max_size=2) | json_values,
            }
        ),
        max_size=3,
    ),
    data=st.binary(max_size=16),
)
def test_random_headers_are_refused_or_harmless(header, data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("random")
    (directory / "model.safetensors").write_bytes(file_of(header, data))
    try:
        with open_weights(directory) as weights:
            for name in weights.names():
                weights.load(name)
    except CheckpointError as problem:
        str(problem).encode()  # can be printed anywhere
