"""Names of tensors, both ways: worked examples, refusals, and random key maps that come back to where they began."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.checkpoints.key_map import Concat, Ignore, KeyMap, Legacy, Rename, Split, Step, Tie, Transpose
from bothways.checkpoints.prefix import align_prefix, without_wrappers
from bothways.checkpoints.weights import open_weights
from bothways.checkpoints.weights_writer import write_weights
from bothways.errors import CheckpointError

BERT = KeyMap(
    Legacy("LayerNorm.gamma", "LayerNorm.weight"),
    Legacy("LayerNorm.beta", "LayerNorm.bias"),
    Ignore("embeddings.position_ids"),
    Tie("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
    Tie("cls.predictions.decoder.bias", "cls.predictions.bias"),
    base_prefix="bert",
)
DISTILBERT = KeyMap(
    Rename("transformer.layer.{i}.attention.q_lin", "encoder.layer.{i}.attention.self.query"),
    Rename("transformer.layer.{i}.ffn.lin1", "encoder.layer.{i}.intermediate.dense"),
    Rename("vocab_transform", "cls.predictions.transform.dense"),
    base_prefix="distilbert",
)
GPT2 = KeyMap(
    Split(
        "h.{i}.attn.c_attn.weight",
        tuple(f"layer.{{i}}.self.{name}.weight" for name in ("query", "key", "value")),
        transpose=True,
    ),
    Split("h.{i}.attn.c_attn.bias", tuple(f"layer.{{i}}.self.{name}.bias" for name in ("query", "key", "value"))),
    Transpose("h.{i}.mlp.c_fc.weight", "layer.{i}.dense.weight"),
    Rename("h.{i}.mlp.c_fc.bias", "layer.{i}.dense.bias"),
    Ignore("h.{i}.attn.bias"),
    base_prefix="transformer",
)
JOINED = KeyMap(Concat(("l.{i}.q.weight", "l.{i}.k.weight"), "layer.{i}.qk.weight"))


def names_of(key_map: KeyMap, *names: str) -> dict:
    return {step.theirs: step.ours for step in key_map.to_ours(names).steps}


def test_names_that_no_rule_mentions_stay():
    plan = BERT.to_ours(["bert.encoder.layer.0.output.dense.weight", "classifier.bias"])
    assert plan.ours == ("bert.encoder.layer.0.output.dense.weight", "classifier.bias")
    assert plan.renamed == 0


def test_legacy_names_are_read_and_never_written():
    plan = BERT.to_ours(["bert.embeddings.LayerNorm.gamma", "embeddings.LayerNorm.beta", "MyLayerNorm.gamma"])
    assert plan.ours == ("bert.embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias", "MyLayerNorm.gamma")
    assert plan.renamed == 2
    assert list(BERT.to_theirs({"embeddings.LayerNorm.weight": torch.ones(1)})) == ["embeddings.LayerNorm.weight"]


def test_known_names_are_ignored_with_and_without_the_base_prefix():
    plan = BERT.to_ours(["bert.embeddings.position_ids", "embeddings.position_ids", "x.embeddings.position_ids"])
    assert plan.ignored == ("bert.embeddings.position_ids", "embeddings.position_ids")
    assert plan.ours == ("x.embeddings.position_ids",)
    assert GPT2.to_ours(["h.3.attn.bias"]).ignored == ("h.3.attn.bias",)


@pytest.mark.parametrize("prefix", ["", "distilbert."])
def test_rename_takes_everything_below_and_keeps_the_base_prefix(prefix):
    theirs = f"{prefix}transformer.layer.11.attention.q_lin.weight"
    assert names_of(DISTILBERT, theirs) == {(theirs,): (f"{prefix}encoder.layer.11.attention.self.query.weight",)}


@pytest.mark.parametrize(
    "name",
    [
        "transformer.layer.1.2.attention.q_lin.weight",  # a placeholder is one segment
        "transformer.layer.attention.q_lin.weight",
        "transformer.layer.1.attention.q_linear.weight",  # whole segments only
        "old.transformer.layer.1.attention.q_lin.weight",  # from the start only
        "transformerXlayer.1.attention.q_lin.weight",  # a dot is a dot
    ],
)
def test_names_that_only_look_alike_stay(name):
    assert names_of(DISTILBERT, name) == {(name,): (name,)}


def test_repeated_placeholder_is_one_value():
    key_map = KeyMap(Rename("{a}.x.{a}", "both.{a}"))
    assert names_of(key_map, "1.x.1", "1.x.2") == {("1.x.1",): ("both.1",), ("1.x.2",): ("1.x.2",)}


def test_wrappers_around_all_names_come_off():
    assert without_wrappers(["module._orig_mod.a", "module._orig_mod.b"]) == {
        "module._orig_mod.a": "a",
        "module._orig_mod.b": "b",
    }
    assert without_wrappers(["module.a", "b"]) == {"module.a": "module.a", "b": "b"}
    assert without_wrappers([]) == {}
    assert DISTILBERT.to_ours(["module.vocab_transform.bias"]).ours == ("cls.predictions.transform.dense.bias",)


def test_fused_query_key_value_by_hand():
    # Conv1D keeps (in, out): column j of theirs is row j of ours.
    fused = torch.tensor([[1.0, 2, 3, 4, 5, 6], [10, 20, 30, 40, 50, 60]])  # (H, 3H), H = 2
    step = GPT2.to_ours(["transformer.h.0.attn.c_attn.weight"]).steps[0]
    ours = step.apply([fused])
    assert ours["transformer.layer.0.self.query.weight"].tolist() == [[1, 10], [2, 20]]
    assert ours["transformer.layer.0.self.key.weight"].tolist() == [[3, 30], [4, 40]]
    assert ours["transformer.layer.0.self.value.weight"].tolist() == [[5, 50], [6, 60]]
    assert GPT2.to_theirs(ours)["transformer.h.0.attn.c_attn.weight"].tolist() == fused.tolist()


def test_joined_tensors_by_hand():
    ours = JOINED.to_ours(["l.7.k.weight", "l.7.q.weight"]).steps
    assert ours == (Step(theirs=("l.7.q.weight", "l.7.k.weight"), ours=("layer.7.qk.weight",)),)
    joined = ours[0].apply([torch.ones(1, 2), torch.zeros(1, 2)])
    assert joined["layer.7.qk.weight"].tolist() == [[1, 1], [0, 0]]
    assert {n: t.tolist() for n, t in JOINED.to_theirs(joined).items()} == {
        "l.7.q.weight": [[1, 1]],
        "l.7.k.weight": [[0, 0]],
    }


def test_made_tensors_share_no_memory_and_can_be_written(tmp_path):
    theirs = {"h.0.attn.c_attn.weight": torch.randn(1, 3), "h.0.mlp.c_fc.weight": torch.randn(1, 5)}
    write_weights(tmp_path / "theirs", theirs)
    with open_weights(tmp_path / "theirs") as weights:
        ours = GPT2.load(weights)
    write_weights(tmp_path / "ours", ours)
    back = GPT2.to_theirs(ours)
    write_weights(tmp_path / "all", ours | back)
    assert {name: tensor.tolist() for name, tensor in back.items()} == {n: t.tolist() for n, t in theirs.items()}


def test_load_reads_only_what_is_wanted(tmp_path):
    write_weights(tmp_path, {"h.0.attn.c_attn.bias": torch.arange(6.0), "h.0.mlp.c_fc.bias": torch.ones(1)})
    with open_weights(tmp_path) as weights:
        loaded = GPT2.load(weights, {"layer.0.self.key.bias"})
    assert {name: tensor.tolist() for name, tensor in loaded.items()} == {"layer.0.self.key.bias": [2, 3]}


@pytest.mark.parametrize(
    ("key_map", "names", "message"),
    [
        (
            BERT,
            ["LayerNorm.gamma", "LayerNorm.weight"],
            "'LayerNorm.gamma' and 'LayerNorm.weight' would both become 'Layer",
        ),
        (KeyMap(Rename("a", "b")), ["a.x", "b.x"], "'a.x' and 'b.x' would both become 'b.x'"),
        (
            KeyMap(Rename("a", "b"), Rename("a.c", "d")),
            ["a.c"],
            r"'a.c' fits 2 rules of the key map: Rename\(.*Rename\(",
        ),
        (
            JOINED,
            ["l.3.q.weight"],
            "1 of 2 tensors that are joined to one are missing: l.3.k.weight. Present: l.3.q.weight",
        ),
    ],
)
def test_every_parameter_is_hit_exactly_once(key_map, names, message):
    with pytest.raises(CheckpointError, match=message):
        key_map.to_ours(names)


def test_the_way_back_is_as_strict():
    with pytest.raises(CheckpointError, match="'a.x' and 'b.x' would both become 'a.x'"):
        KeyMap(Rename("a", "b")).to_theirs({"a.x": torch.ones(1), "b.x": torch.ones(1)})
    with pytest.raises(
        CheckpointError, match="2 of 3 tensors .* missing: layer.0.self.key.bias, layer.0.self.value.bias"
    ):
        GPT2.to_theirs({"layer.0.self.query.bias": torch.ones(1)})


@pytest.mark.parametrize(
    ("key_map", "tensors", "message"),
    [
        (
            GPT2,
            {"h.0.attn.c_attn.bias": torch.ones(7)},
            r"shape \(7,\) cannot be cut into 3 equal parts along dimension 0",
        ),
        (GPT2, {"h.0.attn.c_attn.bias": torch.tensor(1.0)}, r"shape \(\) cannot be cut"),
        (GPT2, {"h.0.mlp.c_fc.weight": torch.ones(3)}, r"shape \(3,\) cannot be transposed: 2 dimensions"),
        (
            JOINED,
            {"l.0.q.weight": torch.ones(2), "l.0.k.weight": torch.ones(3)},
            r"q.weight \(2,\), l.0.k.weight \(3,\) cannot be",
        ),
    ],
)
def test_tensors_that_do_not_fit_their_rule_are_refused_before_reading(key_map, tensors, message, tmp_path):
    write_weights(tmp_path, tensors)
    with open_weights(tmp_path) as weights, pytest.raises(CheckpointError, match=message):
        key_map.to_ours(weights.names()).steps[0].shapes(weights)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([Rename("a.{i}", "b")], "differ in their placeholders"),
        ([Rename("a.{i}", "b.{j}")], "differ in their placeholders"),
        ([Rename("a.{i}x", "b.{i}")], "placeholders|segment"),
        ([Rename("a..b", "c")], "the segment ''"),
        ([Rename("a.{i}", "b.{i}"), Transpose("a.{j}", "c.{j}")], r"Two rules have the template a.\{\}"),
        ([Rename("a", "c"), Rename("b", "c")], "Two rules have the template c"),
    ],
)
def test_impossible_rules_are_refused_when_the_map_is_made(rules, message):
    with pytest.raises(ValueError, match=message):
        KeyMap(*rules)


class TestTies:
    state = {
        "bert.embeddings.word_embeddings.weight": torch.ones(3, 2),
        "cls.predictions.bias": torch.zeros(3),
    }
    tied = state | {
        "cls.predictions.decoder.weight": state["bert.embeddings.word_embeddings.weight"],
        "cls.predictions.decoder.bias": state["cls.predictions.bias"],
    }

    def test_are_written_once(self):
        assert BERT.to_theirs(self.tied).keys() == self.state.keys()
        assert BERT.to_theirs(self.state).keys() == self.state.keys()

    def test_are_written_as_copies_on_request(self, tmp_path):
        key_map = KeyMap(*(Tie(tie.name, tie.to, write=True) for tie in BERT.ties))
        for state in (self.state, self.tied):
            theirs = key_map.to_theirs(state)
            assert theirs.keys() == self.tied.keys()
            write_weights(tmp_path, theirs)

    def test_equal_copies_count_as_tied_and_others_are_refused(self):
        equal = {name: tensor.clone() for name, tensor in self.tied.items()}
        assert BERT.to_theirs(equal).keys() == self.state.keys()
        equal["cls.predictions.decoder.bias"][1] = 7
        with pytest.raises(
            CheckpointError, match="decoder.bias is tied to cls.predictions.bias but holds other values"
        ):
            BERT.to_theirs(equal)

    def test_shared_nan_is_still_tied(self):
        weight = torch.full((3, 2), float("nan"))
        names = ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight")
        assert list(BERT.to_theirs(dict.fromkeys(names, weight))) == [names[0]]

    def test_name_without_its_partner_is_kept(self):
        assert list(BERT.to_theirs({"cls.predictions.decoder.bias": torch.ones(1)})) == ["cls.predictions.decoder.bias"]


class TestAlignPrefix:
    base = ("embeddings.word.weight", "encoder.layer.0.weight")
    task = ("bert.embeddings.word.weight", "bert.encoder.layer.0.weight", "classifier.weight")

    def aligned(self, names, wanted, base_prefix="bert"):
        return list(align_prefix(names, wanted, base_prefix).values())

    def test_same_forms_stay(self):
        assert self.aligned(self.base, self.base) == list(self.base)
        assert self.aligned(self.task, self.task) == list(self.task)

    def test_base_checkpoint_into_task_model(self):
        assert self.aligned(self.base, self.task) == list(self.task[:2])
        assert self.aligned([*self.base, "unknown"], self.task) == [*self.task[:2], "unknown"]
        assert self.aligned([*self.base, "classifier.weight"], self.task) == list(self.task)

    def test_task_checkpoint_into_base_model_leaves_heads_over(self):
        assert self.aligned(self.task, self.base) == [*self.base, "classifier.weight"]

    def test_mixed_files_are_not_guessed_about(self):
        mixed = ["bert.embeddings.word.weight", "embeddings.word.weight", "encoder.layer.0.weight"]
        assert self.aligned(mixed, self.task) == mixed
        assert self.aligned(mixed, self.base) == mixed

    def test_wrappers_come_off_and_families_without_prefix_stay(self):
        assert self.aligned([f"module.{name}" for name in self.task], self.base) == [*self.base, "classifier.weight"]
        assert self.aligned(self.task, self.base, "") == list(self.task)


segments = st.text("abcdexyz", min_size=1, max_size=3)
dtypes = st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.int64])


@st.composite
def key_maps_and_files(draw):
    """A random key map, and a file with tensors for some layers of each of its rules and for none of them."""
    rules, tensors = [], {}
    stems = draw(st.lists(segments, min_size=1, max_size=5, unique=True))
    layers = draw(st.lists(st.integers(0, 30), min_size=1, max_size=3, unique=True))
    sizes = st.integers(1, 4)
    for stem in stems:
        theirs, ours = f"L.{{i}}.{stem}", f"O.{stem}.{{i}}"
        kind = draw(st.sampled_from(["rename", "transpose", "split", "transposed split", "concat", "none"]))
        dim, n, rows, columns = draw(st.integers(0, 1)), draw(st.integers(2, 4)), draw(sizes), draw(sizes)
        names, shape = [theirs], (rows, columns)
        if kind == "rename":
            rules.append(Rename(theirs, ours))
            names = [f"{theirs}.weight", f"{theirs}.bias.deep", theirs]
        elif kind == "transpose":
            rules.append(Transpose(theirs, ours))
        elif kind in ("split", "transposed split"):
            transpose = kind != "split"
            rules.append(Split(theirs, tuple(f"{ours}.{k}" for k in range(n)), dim=dim, transpose=transpose))
            fused_dim = dim if not transpose else 1 - dim
            shape = tuple(size * n if d == fused_dim else size for d, size in enumerate((rows, columns)))
        elif kind == "concat":
            names = [f"{theirs}.{k}" for k in range(n)]
            rules.append(Concat(tuple(names), ours, dim=dim))
        dtype = draw(dtypes)
        for layer in layers:
            for name in names:
                generator = torch.Generator().manual_seed(len(tensors))
                values = torch.randint(-1000, 1000, shape, generator=generator).to(dtype)
                tensors[name.replace("{i}", str(layer))] = values
    prefix = draw(st.sampled_from(["", "base."]))
    return KeyMap(*rules, base_prefix="base"), {prefix + name: tensor for name, tensor in tensors.items()}


@settings(max_examples=150, deadline=None)
@given(key_maps_and_files())
def test_theirs_to_ours_and_back_is_the_identity(case):
    key_map, theirs = case
    plan = key_map.to_ours(theirs)
    assert sorted(name for step in plan.steps for name in step.theirs) == sorted(theirs)
    ours = {}
    for step in plan.steps:
        ours |= step.apply([theirs[name] for name in step.theirs])
    assert len(ours) == len(plan.ours)

    back = key_map.to_theirs(ours)
    assert back.keys() == theirs.keys()
    assert all(back[name].dtype == theirs[name].dtype and torch.equal(back[name], theirs[name]) for name in theirs)
