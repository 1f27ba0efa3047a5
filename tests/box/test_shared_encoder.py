"""One encoder for several models: the same answers, one memory, and nothing that one does changes another."""

from __future__ import annotations

import copy
import gc
import threading

import numpy as np
import pytest
import torch

from bothways import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertModel,
    MixedRunner,
    TaskRow,
    add_lora,
    save_adapter,
    shared_model,
)
from bothways.errors import InputError
from bothways.models.runner import PackedRunner
from bothways.models.shared_encoder import _ENCODERS
from tests.box.conftest import HEADS, changed, put_adapter

pytestmark = pytest.mark.usefixtures("own_store")

IDS = [[2, 7, 8, 9, 3], [2, 11, 3], [2, 20, 21, 22, 4, 24, 25, 3], [2, 3], [2, 5, 6, 3]]
KINDS = list(HEADS)


def answers(model, ids=IDS) -> list[np.ndarray]:
    runner = PackedRunner(model)
    if model.head.reads == "tokens":
        return runner.token_logits(ids)
    return list(runner.sequence_logits(ids))


def same(got, expected, tolerance=1e-5) -> None:
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=0)


def storages(model) -> dict[str, int]:
    return {name: p.data_ptr() for name, p in model.named_parameters() if "lora_" not in name}


def body_storages(model) -> dict[str, int]:
    body = f"{model.base_model_prefix}."
    return {n.removeprefix(body): p for n, p in storages(model).items() if n.startswith(body) and "pooler" not in n}


def shared_storages(model) -> dict[str, int]:
    """Without what adapters for pairs have of their own."""
    return {name: place for name, place in body_storages(model).items() if "token_type" not in name}


@pytest.fixture
def loaded(filled_box):
    return {kind: shared_model(filled_box / f"minilm-l6-{kind}") for kind in KINDS}


def plain(filled_box, kind):
    return HEADS[kind].from_pretrained(filled_box / f"minilm-l6-{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_the_answers_are_those_of_the_adapter_alone(filled_box, loaded, kind):
    expected = answers(plain(filled_box, kind))
    assert max(np.ptp(row) for row in expected) > 0.1
    same(answers(loaded[kind]), expected)
    with torch.no_grad():  # and without the form for inference
        ids = torch.tensor([IDS[0]])
        same(loaded[kind](ids)[0].numpy(), plain(filled_box, kind)(ids)[0].numpy())


def test_five_models_hold_the_encoder_once(loaded, tiny_model):
    (places,) = {tuple(sorted(shared_storages(model).items())) for model in loaded.values()}
    assert 1 + len(places) == len([n for n in storages(AutoModel.from_pretrained(tiny_model)) if "pooler" not in n])
    for model in loaded.values():
        answers(model)
    blocks = [model.base_model.encoder.layer[0] for model in loaded.values()]
    assert len({id(block.attention.self.prepared.shared) for block in blocks}) == 1
    assert len({id(block.output.dense.prepared.shared) for block in blocks}) == 1
    body = shared_model(tiny_model)
    assert shared_storages(loaded["ner"]).items() <= storages(body).items()
    same(PackedRunner(body).hidden(IDS), PackedRunner(AutoModel.from_pretrained(tiny_model)).hidden(IDS))


def test_the_encoder_goes_with_its_last_model(filled_box):
    model = shared_model(filled_box / "minilm-l6-qa", dtype=torch.float64)
    assert [key for key in _ENCODERS if key[2] == "torch.float64"]
    del model
    gc.collect()
    assert not [key for key in _ENCODERS if key[2] == "torch.float64"]


def test_two_dtypes_are_two_encoders(filled_box):
    wide = shared_model(filled_box / "minilm-l6-sentiment")
    half = shared_model(filled_box / "minilm-l6-sentiment", dtype="bfloat16")
    assert (wide.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    assert wide.shared_encoder is not half.shared_encoder
    assert shared_model(filled_box / "minilm-l6-ner", dtype=torch.float32).shared_encoder is wide.shared_encoder
    same(answers(half), answers(wide), tolerance=0.3)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.train(),
        lambda model: model.bert.train(),
        lambda model: model.requires_grad_(True),
        lambda model: model.load_state_dict({n: t + 1 for n, t in model.state_dict().items()}),
        lambda model: model.to(torch.bfloat16),
        lambda model: model.half(),
    ],
)
def test_a_model_that_changes_has_its_own_copy(filled_box, loaded, change):
    before = {kind: answers(model) for kind, model in loaded.items()}
    model = loaded["sentiment"]
    change(model)
    assert model.shared_encoder is model.bert.shared_encoder is None
    assert not set(body_storages(model).values()) & set(body_storages(loaded["ner"]).values())
    model.requires_grad_(True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    for kind in KINDS[1:]:
        same(answers(loaded[kind]), before[kind])
    assert shared_model(filled_box / "minilm-l6-sentiment").shared_encoder is loaded["ner"].shared_encoder


def test_fine_tuning_keeps_the_optimizers_parameters(loaded):
    model, other = loaded["sentiment"], loaded["nli"]
    before, others = answers(model), answers(other)
    given = list(model.parameters())  # to an optimizer, before train()
    model.train()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {n.split(".")[0] for n in trained if "lora_" not in n} == {"bert", "classifier"}
    assert all("pooler" in n for n in trained if "lora_" not in n and n.startswith("bert."))
    model(torch.tensor([IDS[0]]), labels=torch.tensor([1])).loss.backward()
    with torch.no_grad():
        for parameter in given:
            if parameter.grad is not None:
                parameter.sub_(parameter.grad)
    model.eval()
    assert max(np.abs(a - b).max() for a, b in zip(answers(model), before, strict=True)) > 0.01
    same(answers(other), others)


def test_an_encoder_of_its_own_is_trained_whole(tiny_model):
    model, other = shared_model(tiny_model), shared_model(tiny_model)
    assert not any(p.requires_grad for p in model.parameters())
    model.train()
    assert all(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in other.parameters())


def test_writing_past_it_is_refused(filled_box, loaded, tiny_model):
    answers(loaded["ner"])
    with torch.no_grad():
        loaded["sentiment"].bert.encoder.layer[0].output.dense.weight.add_(1)
    for kind in ("ner", "sentiment"):
        with pytest.raises(InputError, match=f"{tiny_model}, which several models share, were changed in place"):
            answers(loaded[kind])
    anew = shared_model(filled_box / "minilm-l6-ner")
    assert anew.shared_encoder is not loaded["ner"].shared_encoder
    same(answers(anew), answers(plain(filled_box, "ner")))


def test_copies_and_saved_models_are_ordinary(filled_box, loaded, tmp_path):
    expected = answers(loaded["nli"])
    twin = copy.deepcopy(loaded["nli"])
    assert twin.shared_encoder is None and not set(storages(twin).values()) & set(storages(loaded["nli"]).values())
    same(answers(twin), expected)
    loaded["nli"].save_pretrained(tmp_path / "whole")
    same(answers(AutoModelForSequenceClassification.from_pretrained(tmp_path / "whole")), expected)


def test_edited_lora_is_seen(loaded):
    before = answers(loaded["sentiment"])
    with torch.no_grad():
        loaded["sentiment"].bert.encoder.layer[1].attention.self.value.lora_B.add_(1)
    assert max(np.abs(a - b).max() for a, b in zip(answers(loaded["sentiment"]), before, strict=True)) > 0.01


# --- one batch, several tasks


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("max_tokens", [None, 9])
def test_a_mixed_batch_gives_what_each_gives_alone(filled_box, loaded, max_tokens, dtype):
    runner = MixedRunner(loaded, max_tokens=max_tokens, dtype=dtype)
    rows = [TaskRow(task=kind, input_ids=ids) for ids in IDS for kind in reversed(KINDS)]
    got = runner.logits(rows)
    for kind in KINDS:
        own = [answer for row, answer in zip(rows, got, strict=True) if row.task == kind]
        same(own, answers(plain(filled_box, kind)), tolerance=1e-5 if dtype is None else 0.3)


def test_chosen_positions_and_token_types(filled_box, loaded):
    rows = [
        TaskRow(task="fill-mask", input_ids=IDS[2], positions=[4]),
        TaskRow(task="nli", input_ids=IDS[2], token_type_ids=[0] * 4 + [1] * 4),
        TaskRow(task="fill-mask", input_ids=IDS[0], positions=[]),
        TaskRow(task="fill-mask", input_ids=IDS[0], positions=[0, 2]),
        TaskRow(task="qa", input_ids=IDS[2], token_type_ids=[0] * 3 + [1] * 5),
        TaskRow(task="sentiment", input_ids=IDS[2], token_type_ids=[0] * 3 + [1] * 5),
    ]
    got = MixedRunner(loaded).logits(rows)
    masked = PackedRunner(plain(filled_box, "fill-mask")).masked_logits([IDS[2], IDS[0], IDS[0]], [[4], [], [0, 2]])
    same([got[0], got[2], got[3]], masked)
    (pair,) = PackedRunner(plain(filled_box, "nli")).sequence_logits([IDS[2]], [[0] * 4 + [1] * 4])
    same([got[1]], [pair])
    for kind, answer in (("qa", got[4]), ("sentiment", got[5])):
        model = plain(filled_box, kind)
        types = torch.tensor([rows[4].token_type_ids])
        with torch.no_grad():
            logits = model(torch.tensor([IDS[2]]), token_type_ids=types)
        expected = torch.stack(logits[:2], -1)[0] if kind == "qa" else logits.logits[0]
        same([answer], [expected.numpy()])


def test_a_family_without_segments(tmp_path):
    torch.manual_seed(0)
    sizes = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24, "vocab_size": 50, "max_position_embeddings": 20}
    DistilBertModel(DistilBertConfig(**sizes)).save_pretrained(tmp_path / "encoder")
    model = DistilBertForSequenceClassification.from_pretrained(tmp_path / "encoder", num_labels=3)
    add_lora(model, r=2)
    changed(model, 0)
    save_adapter(model, tmp_path / "adapter")
    runner = MixedRunner({"only": shared_model(tmp_path / "adapter")})
    (expected,) = PackedRunner(model.eval()).sequence_logits([IDS[0]])
    same(runner.logits([TaskRow(task="only", input_ids=IDS[0])]), [expected])
    with pytest.raises(InputError, match="token types from 0 to 1; the model knows 0 to 0"):
        runner.logits([TaskRow(task="only", input_ids=[2, 3], token_type_ids=[0, 1])])


def test_changed_segments_are_seen(loaded):
    runner = MixedRunner(loaded)
    row = TaskRow(task="nli", input_ids=IDS[2], token_type_ids=[0] * 4 + [1] * 4)
    (before,) = runner.logits([row])
    with torch.no_grad():
        loaded["nli"].bert.embeddings.token_type_embeddings.weight[1, ::2] += (
            1  # not all: the norm takes out what all get
        )
    (after,) = runner.logits([row])
    assert np.abs(after - before).max() > 1e-3
    same([after], PackedRunner(loaded["nli"]).sequence_logits([IDS[2]], [row.token_type_ids]))


def test_one_task_and_no_rows(filled_box, loaded):
    runner = MixedRunner({"only": loaded["ner"]})
    assert runner.logits([]) == []
    same(runner.logits([TaskRow(task="only", input_ids=ids) for ids in IDS]), answers(plain(filled_box, "ner")))


def test_ranks_and_targets_may_differ(filled_box, tiny_model, tmp_path):
    put_adapter(tmp_path, tiny_model, "nli", seed=7, r=1, targets=("value",))
    models = {
        "wide": shared_model(filled_box / "minilm-l6-sentiment"),
        "thin": shared_model(tmp_path / "minilm-l6-nli"),
    }
    rows = [TaskRow(task=name, input_ids=ids) for name in models for ids in IDS]
    got = MixedRunner(models).logits(rows)
    same(got[: len(IDS)], answers(plain(filled_box, "sentiment")))
    same(got[len(IDS) :], answers(plain(tmp_path, "nli")))


def test_a_mixed_runner_sees_changes(loaded):
    runner = MixedRunner(loaded)
    row = TaskRow(task="sentiment", input_ids=IDS[0])
    (before,) = runner.logits([row])
    changed_layer = loaded["sentiment"].bert.encoder.layer[0].intermediate.dense
    with torch.no_grad():
        changed_layer.lora_B.add_(0.5)
    (after,) = runner.logits([row])
    assert np.abs(after - before).max() > 1e-3
    same([after], answers(loaded["sentiment"], [IDS[0]]))
    loaded["ner"].train()
    with pytest.raises(InputError, match="ner: the encoder is no longer shared"):
        runner.logits([row])


def test_threads_may_share_it(filled_box, loaded):
    runner = MixedRunner(loaded)
    expected = {kind: answers(plain(filled_box, kind)) for kind in KINDS}
    problems: list[BaseException] = []

    def work(shift: int) -> None:
        try:
            order = KINDS[shift:] + KINDS[:shift]
            for count in range(1, 6):
                rows = [TaskRow(task=kind, input_ids=IDS[i]) for i in range(count) for kind in order[:count]]
                for row, answer in zip(rows, runner.logits(rows), strict=True):
                    same([answer], [expected[row.task][IDS.index(row.input_ids)]])
                same(answers(shared_model(filled_box / f"minilm-l6-{order[0]}")), expected[order[0]])
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (TaskRow(task="poetry", input_ids=[2]), "row 0 asks for 'poetry'; there are sentiment, ner"),
        (TaskRow(task="ner", input_ids=[]), "row 0 has no tokens"),
        (TaskRow(task="ner", input_ids=[2, 3], token_type_ids=[0]), "row 0 has 2 tokens and 1 token types"),
        (
            TaskRow(task="qa", input_ids=[2, 3], token_type_ids=[0, 2]),
            "token types from 0 to 2; the model knows 0 to 1",
        ),
        (TaskRow(task="nli", input_ids=[2, 3], positions=[0]), "the head of nli reads the whole sequence"),
        (TaskRow(task="qa", input_ids=[2, 3], positions=[1, 1]), r"positions \[1, 1\]; they have to rise, from 0 to 1"),
        (TaskRow(task="qa", input_ids=[2, 3], positions=[2]), r"positions \[2\]"),
        (TaskRow(task="qa", input_ids=[2, 9_999]), "do not fit the vocabulary"),
    ],
)
def test_impossible_rows(loaded, row, message):
    with pytest.raises(InputError, match=message):
        MixedRunner(loaded).logits([row])


def test_models_that_share_nothing(filled_box, loaded, tiny_model):
    with pytest.raises(InputError, match="no models"):
        MixedRunner({})
    with pytest.raises(InputError, match="but lone share none"):
        MixedRunner({"a": loaded["ner"], "lone": plain(filled_box, "ner")})
    half = shared_model(filled_box / "minilm-l6-ner", dtype="bfloat16")
    with pytest.raises(InputError, match="but they have 2"):
        MixedRunner({"a": loaded["ner"], "b": half})
    with pytest.raises(InputError, match="body is a BertModel, whose head cannot"):
        MixedRunner({"body": shared_model(tiny_model)})


def test_what_an_adapter_changed_besides_lora_keeps_it_out(filled_box, tiny_model, tmp_path):
    model = HEADS["ner"].from_pretrained(tiny_model, num_labels=5)
    add_lora(model, r=2)
    norm = model.bert.encoder.layer[0].output.LayerNorm
    norm.weight.requires_grad_(True)
    changed(model, 5)
    save_adapter(model, tmp_path / "norms")
    shared = shared_model(tmp_path / "norms")
    same(answers(shared), answers(HEADS["ner"].from_pretrained(tmp_path / "norms")))
    with pytest.raises(InputError, match="norms has encoder.layer.0.output.LayerNorm.weight of its own"):
        MixedRunner({"norms": shared, "ner": shared_model(filled_box / "minilm-l6-ner")})


def test_tokenisers_are_the_encoders(filled_box, tiny_model):
    ours = AutoTokenizer.from_pretrained(filled_box / "minilm-l6-ner")
    assert ours.get_vocab() == AutoTokenizer.from_pretrained(tiny_model).get_vocab()
