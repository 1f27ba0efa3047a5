"""Loading by our names: what fits is loaded, and what does not is said."""

import json

import pytest
import torch

from bothways.checkpoints.key_map import Ignore, KeyMap, Legacy, Rename, Split, Tie
from bothways.checkpoints.load_report import LoadReport, Mismatch, load_tensors
from bothways.checkpoints.weights import open_weights
from bothways.checkpoints.weights_writer import write_weights
from bothways.errors import CheckpointError

EMBEDDING, DECODER = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
BERT = KeyMap(
    Legacy("LayerNorm.gamma", "LayerNorm.weight"),
    Ignore("embeddings.position_ids"),
    Tie(DECODER, EMBEDDING),
    base_prefix="bert",
)
BASE = {"embeddings.word_embeddings.weight": (5, 2), "encoder.layer.0.output.LayerNorm.weight": (2,)}
TASK = {f"bert.{name}": shape for name, shape in BASE.items()} | {"classifier.weight": (3, 2), "classifier.bias": (3,)}


def state(shapes: dict) -> dict:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def load(directory, tensors, wanted, key_map=BERT, **options):
    write_weights(directory, tensors)
    with open_weights(directory) as weights:
        return load_tensors(weights, key_map, wanted, base_prefix=key_map.base_prefix, source="my/model", **options)


def test_everything_fits_and_nothing_needs_saying(tmp_path):
    theirs = state(TASK)
    tensors, report = load(tmp_path, theirs, TASK)
    assert all(torch.equal(tensors[name], theirs[name]) for name in TASK)
    assert report == LoadReport(source="my/model", n_tensors=4, n_loaded=4, dtype="float32")
    assert report.sentence() == ""


def test_base_checkpoint_into_task_model(tmp_path):
    theirs = state(BASE) | {"embeddings.position_ids": torch.arange(4).reshape(1, 4)}
    theirs["encoder.layer.0.output.LayerNorm.gamma"] = theirs.pop("encoder.layer.0.output.LayerNorm.weight")
    tensors, report = load(tmp_path, theirs, TASK)
    assert tensors.keys() == {f"bert.{name}" for name in BASE}
    assert report.missing == ("classifier.weight", "classifier.bias")
    assert report.ignored == ("embeddings.position_ids",)
    assert (report.n_loaded, report.n_tensors, report.renamed) == (2, 3, 1)
    assert report.sentence() == (
        "2 parameters are newly initialised: classifier.weight, classifier.bias. Train the head before using it."
    )


def test_task_checkpoint_into_base_model(tmp_path):
    theirs = {f"module.{name}": tensor for name, tensor in state(TASK).items()}
    tensors, report = load(tmp_path, theirs, BASE)
    assert tensors.keys() == BASE.keys()
    assert report.unexpected == ("module.classifier.bias", "module.classifier.weight")
    assert report.renamed == 0
    assert report.sentence() == "2 of 4 tensors were used; unused: module.classifier.bias, module.classifier.weight."


def test_incomplete_encoder_is_not_called_a_head(tmp_path):
    theirs = state(TASK)
    del theirs["bert.encoder.layer.0.output.LayerNorm.weight"]
    _, report = load(tmp_path, theirs, TASK)
    assert report.sentence() == (
        "1 parameter is newly initialised: bert.encoder.layer.0.output.LayerNorm.weight. "
        "The encoder is incomplete: is this the right checkpoint?"
    )


def test_all_shapes_that_differ_are_listed_with_the_remedy(tmp_path):
    wanted = TASK | {"classifier.weight": (2, 2), "classifier.bias": (2,)}
    with pytest.raises(CheckpointError) as problem:
        load(tmp_path, state(TASK), wanted)
    assert str(problem.value) == (
        "2 parameters have another shape in my/model than in the model:\n"
        "  classifier.weight: 3x2 in the file, 2x2 in the model\n"
        "  classifier.bias: 3 in the file, 2 in the model\n"
        "Give the model the sizes of the file (for a classifier: num_labels), or pass ignore_mismatched_sizes=True to "
        "initialise these anew."
    )


def test_shapes_that_differ_can_be_left_out(tmp_path):
    wanted = TASK | {"classifier.weight": (2, 2)}
    tensors, report = load(tmp_path, state(TASK), wanted, ignore_mismatched_sizes=True)
    assert tensors.keys() == TASK.keys() - {"classifier.weight"}
    assert report.mismatched == (Mismatch(name="classifier.weight", file_shape=(3, 2), model_shape=(2, 2)),)
    assert (report.n_loaded, report.missing, report.unexpected) == (3, (), ())
    assert report.sentence() == (
        "1 parameter is newly initialised because the shapes differ: classifier.weight (3x2 in the file, 2x2 here). "
        "Train the head before using it."
    )


def test_another_architecture_is_an_error_and_not_a_random_model(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"None of the 1 tensors of my/model is .* which has 4.*'h.0.w', the model bert"
    ):
        load(tmp_path, {"h.0.w": torch.ones(2)}, TASK)


def test_part_of_a_split_tensor_may_be_wanted(tmp_path):
    key_map = KeyMap(Split("qk", ("q", "k")), Rename("x", "y"))
    tensors, report = load(
        tmp_path, {"qk": torch.arange(4.0), "x": torch.ones(1).half()}, {"k": (2,), "y": (1,)}, key_map
    )
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {"k": [2, 3], "y": [1]}
    assert (report.n_loaded, report.n_tensors, report.renamed, report.unexpected) == (2, 2, 2, ())


def test_dtype_is_that_of_most_values(tmp_path):
    theirs = state(TASK)
    theirs = {name: tensor.bfloat16() if "word" in name else tensor for name, tensor in theirs.items()}
    theirs["bert.steps"] = torch.arange(100)
    tensors, report = load(tmp_path, theirs, TASK | {"bert.steps": (100,)})
    assert tensors[EMBEDDING].dtype == torch.bfloat16
    assert report.dtype == "float32"  # 11 values against 10; integers do not count


class TestTies:
    wanted = {EMBEDDING: (5, 2), "cls.predictions.bias": (5,), DECODER: (5, 2)}

    @pytest.mark.parametrize("present", [(EMBEDDING,), (DECODER,), (EMBEDDING, DECODER)])
    def test_either_name_is_enough(self, present, tmp_path):
        weight = torch.randn(5, 2)
        theirs = {name: weight.clone() for name in present} | {"cls.predictions.bias": torch.zeros(5)}
        tensors, report = load(tmp_path, theirs, self.wanted)
        assert torch.equal(tensors[EMBEDDING], weight)
        assert tensors[DECODER] is tensors[EMBEDDING]
        assert report.tied == (DECODER,)
        assert (report.missing, report.unexpected, report.untied, report.n_loaded) == ((), (), (), 2)
        assert report.sentence() == ""

    def test_values_that_differ_are_reported(self, tmp_path):
        theirs = {EMBEDDING: torch.ones(5, 2), DECODER: torch.zeros(5, 2), "cls.predictions.bias": torch.zeros(5)}
        tensors, report = load(tmp_path, theirs, self.wanted)
        assert tensors[DECODER].sum() == 10
        assert report.sentence() == (
            f"The file holds different values for {DECODER} and {EMBEDDING}, which this model ties; "
            f"{EMBEDDING} was used."
        )

    def test_absent_from_the_file_is_missing_once(self, tmp_path):
        _, report = load(tmp_path, {"cls.predictions.bias": torch.zeros(5)}, self.wanted)
        assert report.missing == (EMBEDDING, DECODER)

    def test_other_vocabulary_is_one_mismatch(self, tmp_path):
        theirs = {EMBEDDING: torch.ones(6, 2), "cls.predictions.bias": torch.zeros(5)}
        tensors, report = load(tmp_path, theirs, self.wanted, ignore_mismatched_sizes=True)
        assert [mismatch.name for mismatch in report.mismatched] == [EMBEDDING]
        assert list(tensors) == ["cls.predictions.bias"]
        assert report.missing == ()

    def test_head_that_the_model_lacks_is_unused(self, tmp_path):
        theirs = {EMBEDDING: torch.ones(5, 2), DECODER: torch.zeros(5, 2)}
        _, report = load(tmp_path, theirs, {EMBEDDING: (5, 2)})
        assert (report.unexpected, report.untied, report.tied) == ((DECODER,), (), ())


def test_long_lists_are_cut():
    report = LoadReport(source="x", unexpected=tuple(f"head.{i}" for i in range(205)), n_loaded=2, n_tensors=207)
    assert report.sentence() == (
        "2 of 207 tensors were used; unused: head.0, head.1, head.2, head.3, head.4, head.5, head.6, head.7 "
        "and 197 more."
    )


def test_report_is_json():
    report = LoadReport(
        source="x",
        missing=("a",),
        mismatched=(Mismatch(name="b", file_shape=(1, 2), model_shape=(3,)),),
        untied=(("c", "d"),),
        n_loaded=1,
    )
    value = json.loads(json.dumps(report.to_dict()))
    assert value == report.to_dict()
    assert value["mismatched"] == [{"name": "b", "file_shape": [1, 2], "model_shape": [3]}]
    assert value["missing"] == ["a"]
    assert value["untied"] == [["c", "d"]]
