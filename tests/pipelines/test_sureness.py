"""What a calibration in the configuration does to text classification, and that nothing else does it."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
import torch

from bothways import BertForSequenceClassification, pipeline
from bothways.errors import InputError
from bothways.tasks.calibration import CONFIG_KEY, Calibration, head_sketch
from tests.pipelines.conftest import CLASSIFIER, TEXTS, THREE

ALL = [f"{a} {b}" for a in TEXTS[:4] for b in ("good film", "the cat ran", "big blue tree", "not bad at all")]


def calibration(pipe, **changes) -> Calibration:
    """As if measured on 200 texts: sets up to a doubt of 0.6, at most 20 % mistakes up to a doubt of 0.5."""
    facts = {
        "kind": "single",
        "labels": 3,
        "count": 200,
        "temperatures": (2.0,),
        "ranks": (100, 180, 200),
        "nonconformity": (0.3, 0.6, 0.9),
        "doubts": (0.5, 0.66),
        "covered": (150, 200),
        "wrong": (10, 90),
        "head": head_sketch(pipe.model),
    }
    return Calibration(**{**facts, **changes})


def with_calibration(pipe, directory, **changes):
    """The model with a calibration, saved and loaded."""
    if hasattr(pipe.model.config, CONFIG_KEY):
        delattr(pipe.model.config, CONFIG_KEY)
    setattr(pipe.model.config, CONFIG_KEY, calibration(pipe, **changes).to_json())
    pipe.save_pretrained(directory)
    return pipeline("text-classification", model=str(directory), device=-1, calibrated=True)


@pytest.fixture
def plain(models):
    return pipeline("text-classification", model=models.directory(CLASSIFIER, **THREE), device=-1)


@pytest.fixture
def sure(plain, tmp_path):
    return with_calibration(plain, tmp_path / "sure")


def test_scores_are_tempered_and_labels_stay(plain, sure):
    for one, other in zip(plain(ALL, top_k=None), sure(ALL, top_k=None), strict=True):
        assert [e["label"] for e in one] == [e["label"] for e in other]
        roots = np.sqrt([e["score"] for e in one])
        assert [e["score"] for e in other] == pytest.approx((roots / roots.sum()).tolist(), abs=1e-6)


def test_scores_stay_the_ecosystems_until_others_are_asked_for(plain, sure, tmp_path):
    off = pipeline("text-classification", model=str(tmp_path / "sure"), device=-1)
    for function in (None, "none", "softmax", "sigmoid"):
        assert off(ALL, function_to_apply=function) == plain(ALL, function_to_apply=function)
    assert off(ALL, calibrated=True) == sure(ALL) != plain(ALL)
    assert sure(ALL, calibrated=False) == plain(ALL)


def test_windows_of_long_texts_are_calibrated_together(plain, sure):
    long = "the big dog saw a cat . " * 20
    one, other = plain(long, top_k=None, details=True), sure(long, top_k=None, details=True)
    roots = np.sqrt([e["score"] for e in one])
    assert one[0]["n_windows"] > 1
    assert [e["score"] for e in other] == pytest.approx((roots / roots.sum()).tolist(), abs=1e-6)


def test_sets_hold_the_labels_below_the_doubt_in_the_forms_of_top_k(sure):
    every = sure(ALL, top_k=None)
    found = sure(ALL, conformal=0.1)  # rank ceil(201 * 0.9) = 181: the next that is stored is 200
    for scores, labels in zip(every, found, strict=True):
        assert labels == ([e for e in scores if 1 - e["score"] <= 0.9] or scores[:1])
    narrow = sure(ALL, conformal=0.5)  # rank 101: 0.6
    assert all(1 <= len(a) <= len(b) for a, b in zip(narrow, found, strict=True))
    assert {len(labels) for labels in narrow} != {len(labels) for labels in found}
    assert sure(ALL[0], conformal=0.1) == sure([ALL[0]], conformal=0.1)[0]
    assert list(sure(iter(ALL), conformal=0.1)) == found
    assert [e["label"] for e in sure({"text": ALL[0]}, conformal=0.1)] == [e["label"] for e in found[0]]


def test_details_stand_beside_a_set(sure):
    (detailed,) = sure(ALL[:1], conformal=0.1, details=True)
    assert detailed["n_windows"] == 1 and detailed["labels"] == sure(ALL[0], conformal=0.1)
    assert sure(ALL[0], conformal=0.1, details=True).keys() == detailed.keys()


def test_no_label_where_an_answer_would_be_too_risky(plain, sure, tmp_path):
    best = sure(ALL)
    doubt = 1 - float(np.mean([e["score"] for e in best]))
    sure = with_calibration(plain, tmp_path / "half", doubts=(doubt, 0.67))
    found = sure(ALL, abstain_at_risk=0.2)
    for one, other in zip(best, found, strict=True):
        abstains = 1 - one["score"] > doubt
        assert other == {"label": None if abstains else one["label"], "score": one["score"], "abstain": abstains}
    assert {e["abstain"] for e in found} == {True, False}
    (alone,) = sure(ALL[0], abstain_at_risk=0.2)
    assert (alone["label"], alone["abstain"]) == (found[0]["label"], found[0]["abstain"])
    assert not any(e["abstain"] for e in sure(ALL, abstain_at_risk=0.6))


def test_a_risk_that_the_texts_cannot_show_is_a_sentence(sure):
    with pytest.raises(InputError, match="the 200 texts of the calibration cannot show .* at most 2 %"):
        sure(ALL[0], abstain_at_risk=0.02)
    with pytest.raises(InputError, match="conformal=0.001: 999 labelled texts are needed"):
        sure(ALL[0], conformal=0.001)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conformal": 0.1, "top_k": 2}, "Drop top_k"),
        ({"abstain_at_risk": 0.2, "top_k": None}, "Drop top_k"),
        ({"abstain_at_risk": 0.2, "return_all_scores": True}, "Drop top_k and return_all_scores"),
        ({"conformal": 0.1, "abstain_at_risk": 0.2}, "Pass one of them"),
        ({"conformal": 0.1, "calibrated": False}, "Drop calibrated=False"),
        ({"abstain_at_risk": 0.1, "function_to_apply": "none"}, "Drop function_to_apply='none'"),
        ({"calibrated": "yes"}, "calibrated is 'yes'"),
        ({"conformal": 1.5}, "conformal is 1.5"),
        ({"abstain_at_risk": "2 %"}, "abstain_at_risk is '2 %'"),
    ],
)
def test_what_contradicts_itself_is_refused(sure, options, message):
    with pytest.raises(InputError, match=message):
        sure(ALL[0], **options)


@pytest.mark.parametrize("option", [{"conformal": 0.1}, {"abstain_at_risk": 0.1}, {"calibrated": True}])
def test_a_model_without_calibration_says_how_to_get_one(plain, option):
    with pytest.raises(InputError, match="bothways calibrate MODEL FILE"):
        plain(ALL[0], **option)


def test_the_reference_loads_and_keeps_what_it_does_not_know(sure, tmp_path, recwarn):
    import transformers

    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "sure")
    model.save_pretrained(tmp_path / "again")
    for name in ("vocab.txt", "tokenizer_config.json", "tokenizer.json"):
        shutil.copy(tmp_path / "sure" / name, tmp_path / "again" / name)
    assert not [w for w in recwarn if CONFIG_KEY in str(w.message)]
    sure.save_pretrained(tmp_path / "ours")
    for name in ("again", "ours"):
        loaded = pipeline("text-classification", model=str(tmp_path / name), device=-1)
        assert loaded(ALL, calibrated=True) == sure(ALL)


def test_weights_that_changed_since_are_noticed(plain, sure, tmp_path, caplog):
    model = BertForSequenceClassification.from_pretrained(tmp_path / "sure")
    with torch.no_grad():
        model.classifier.weight.add_(1e-2)
    with caplog.at_level(logging.WARNING, "bothways"):
        changed = pipeline("text-classification", model=model, tokenizer=plain.tokenizer, device=-1)
        changed(ALL)
        assert not caplog.text
        with pytest.raises(InputError, match="calibrated=True needs to know how sure"):
            changed(ALL, calibrated=True)
    assert changed.calibration is None and "other weights" in caplog.text


def test_a_damaged_calibration_leaves_scores_as_they_are(plain, tmp_path, caplog):
    broken = with_calibration(plain, tmp_path / "broken", temperatures=(1.0, 2.0))
    assert broken.calibration is None and "values that cannot be" in caplog.text
    assert broken(ALL, calibrated=False) == plain(ALL)


def test_several_labels_keep_their_halves(models, tmp_path):
    config = {**THREE, "problem_type": "multi_label_classification"}
    plain = pipeline("text-classification", model=models.directory(CLASSIFIER, **config), device=-1)
    sure = with_calibration(plain, tmp_path / "multi", kind="multi", temperatures=(0.5, 1.0, 4.0))
    halves = []
    for one, other in zip(plain(ALL, top_k=None), sure(ALL, top_k=None), strict=True):
        before, after = ({e["label"]: e["score"] for e in scores} for scores in (one, other))
        for name, temperature in zip(("no", "maybe", "yes"), (0.5, 1.0, 4.0), strict=True):
            odds = (before[name] / (1 - before[name])) ** (1 / temperature)
            assert after[name] == pytest.approx(odds / (1 + odds), abs=1e-4)
            assert (after[name] >= 0.5) == (before[name] >= 0.5)
            halves.append(after[name] >= 0.5)
    assert set(halves) == {True, False}
    sets = sure(ALL, conformal=0.5)
    assert all(1 - e["score"] <= 0.6 for labels in sets for e in labels)


def test_numbers_get_intervals(models, tmp_path):
    one = {"id2label": {0: "score"}, "label2id": {"score": 0}, "problem_type": "regression"}
    plain = pipeline("text-classification", model=models.directory(CLASSIFIER + "", **one), device=-1)
    sure = with_calibration(
        plain, tmp_path / "number", kind="regression", labels=1, temperatures=(), doubts=(), covered=(), wrong=()
    )
    assert sure(ALL) == plain(ALL)
    for one_, other in zip(plain(ALL), sure(ALL, conformal=0.5), strict=True):
        assert other == one_ | {"interval": [one_["score"] - 0.6, one_["score"] + 0.6]}
    with pytest.raises(InputError, match="answers with numbers"):
        sure(ALL[0], abstain_at_risk=0.1)
