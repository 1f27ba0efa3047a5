"""``pipeline()``: which task, which model, which errors; saving; devices; numeric form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import bothways
from bothways import pipeline
from bothways.errors import InputError, ModelNotFoundError, UsageError
from bothways.pipelines import FeatureExtractionPipeline, FillMaskPipeline, TextClassificationPipeline
from bothways.pipelines.registry import known_tasks
from tests.pipelines.conftest import CLASSIFIER, TEXTS, THREE, same


@pytest.mark.parametrize(
    ("head", "task", "cls"),
    [
        (CLASSIFIER, "text-classification", TextClassificationPipeline),
        ("BertForMaskedLM", "fill-mask", FillMaskPipeline),
        ("BertForPreTraining", "fill-mask", FillMaskPipeline),
        ("BertModel", "feature-extraction", FeatureExtractionPipeline),
    ],
)
def test_the_task_follows_from_the_model(models, head, task, cls):
    for model in (models.directory(head), Path(models.directory(head))):
        pipe = pipeline(model=model)
        assert (pipe.task, type(pipe)) == (task, cls)
    loaded = pipeline(model=bothways.AutoModelForSequenceClassification.from_pretrained(models.directory(CLASSIFIER)))
    assert loaded.task == "text-classification"


def test_alias_and_attributes(models):
    pipe = pipeline("sentiment-analysis", models.directory(CLASSIFIER, **THREE), device=-1)
    assert pipe.task == "sentiment-analysis"  # the name that was asked for, as in the reference
    assert pipe.device == torch.device("cpu")
    assert pipe.framework == "pt"
    assert pipe.model.config.id2label[2] == "yes"
    assert pipe.tokenizer.mask_token == "[MASK]"
    assert pipe.dtype == pipe.torch_dtype == torch.float32
    assert pipe.predict(TEXTS) == pipe.transform(TEXTS) == pipe(TEXTS)


def test_loaded_objects(models):
    directory = models.directory(CLASSIFIER, **THREE)
    expected = pipeline("text-classification", directory)(TEXTS)
    model = bothways.AutoModelForSequenceClassification.from_pretrained(directory)
    tokenizer = bothways.AutoTokenizer.from_pretrained(directory)
    assert pipeline("text-classification", model=model, tokenizer=tokenizer)(TEXTS) == expected
    assert pipeline("text-classification", model=model)(TEXTS) == expected
    assert pipeline("text-classification", model=model, tokenizer=directory)(TEXTS) == expected
    assert (
        pipeline("text-classification", model=directory, tokenizer=(directory, {"use_fast": False}))(TEXTS) == expected
    )
    assert TextClassificationPipeline(model=model, tokenizer=tokenizer)(TEXTS) == expected
    fresh = bothways.BertForSequenceClassification(model.config)
    fresh.name_or_path = ""
    with pytest.raises(InputError, match="tokeniser of this BertForSequenceClassification is not known"):
        pipeline("text-classification", model=fresh)


def test_save_and_load(models, tmp_path):
    import transformers

    pipe = pipeline(model=models.directory(CLASSIFIER, **THREE))
    pipe.save_pretrained(tmp_path / "saved")
    same(pipe(TEXTS), pipeline(model=tmp_path / "saved")(TEXTS))
    reference = transformers.pipeline("text-classification", model=str(tmp_path / "saved"), device=-1)
    same(reference(TEXTS), pipe(TEXTS))


def test_unknown_task():
    with pytest.raises(KeyError) as caught:
        pipeline("text-classificatoin", model="x")
    assert str(caught.value) == (
        f"unknown task 'text-classificatoin'. Known tasks: {', '.join(known_tasks())}. "
        "Did you mean 'text-classification'?"
    )
    assert {"fill-mask", "multiple-choice", "sentiment-analysis", "zero-shot-classification"} < set(known_tasks())
    assert isinstance(caught.value, UsageError)
    with pytest.raises(UsageError, match="needs a task or a model"):
        pipeline()


def test_no_model_names_those_on_this_machine(models, monkeypatch, tmp_path):
    monkeypatch.setattr("bothways.resolver.box.BOX_DIRECTORY", tmp_path / "empty box")
    from bothways.resolver import ModelEntry

    def entry(name, path):
        return ModelEntry(
            name=name, where="store", path=path and Path(path), size_bytes=1, parameters=1, licence="", description=""
        )

    entries = [
        entry("mine", models.directory(CLASSIFIER)),
        entry("body", models.directory("BertModel")),
        entry("far", None),
    ]
    monkeypatch.setattr("bothways.resolver.listing.list_models", lambda: entries)
    with pytest.raises(UsageError, match=r"On this machine there is: mine\. Pass model=: .*bothways train"):
        pipeline("sentiment-analysis")
    with pytest.raises(UsageError, match=r"No model on this machine is for it \(there is: mine, body\)"):
        pipeline("fill-mask")
    with pytest.raises(UsageError, match="tokenizer without a model"):
        pipeline("fill-mask", tokenizer=models.directory(CLASSIFIER))


def test_feature_extraction_has_a_default(models, monkeypatch):
    asked = []

    def resolve(name, **_):
        asked.append(str(name))
        return Path(models.directory("BertModel"))

    monkeypatch.setattr("bothways.resolver.resolve.resolve_model", resolve)
    assert len(pipeline("feature-extraction")("cat")[0]) == 3
    assert set(asked) == {"minilm-l6"}


@pytest.mark.parametrize("named", [True, False], ids=["with architectures", "without"])
def test_a_missing_head_is_said(models, tmp_path, named):
    source = Path(models.directory("BertModel"))
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    if not named:
        config = json.loads((tmp_path / "config.json").read_text())
        del config["architectures"]
        (tmp_path / "config.json").write_text(json.dumps(config))
    holds = "BertModel" if named else "a model without a named architecture"
    with pytest.raises(InputError, match=f"no weights for the sequence-classification head.*it holds {holds}"):
        pipeline("text-classification", model=str(tmp_path))
    with pytest.raises(InputError, match="no weights for the masked-lm head"):
        pipeline("fill-mask", model=str(tmp_path))


def test_wrong_models(models):
    model = bothways.AutoModelForMaskedLM.from_pretrained(models.directory("BertForMaskedLM"))
    with pytest.raises(InputError, match="head for sequence-classification, but BertForMaskedLM has a head for masked"):
        pipeline("text-classification", model=model)
    with pytest.raises(InputError, match=r"model is \{\} \(dict\); expected a name, a directory or a model"):
        pipeline("text-classification", model={}, tokenizer=models.directory(CLASSIFIER))
    with pytest.raises(ModelNotFoundError):
        pipeline("text-classification", model="./not-there")
    with pytest.raises(UsageError, match="which task .*BertForPoetry.* cannot be told"):
        pipeline(model=models.directory(CLASSIFIER), config=bothways.BertConfig(architectures=["BertForPoetry"]))
    with pytest.raises(TypeError, match="Did you mean 'top_k'"):
        pipeline("text-classification", model=models.directory(CLASSIFIER), topk=2)
    with pytest.raises(InputError, match="needs a tokenizer"):
        TextClassificationPipeline(
            model=bothways.BertForSequenceClassification.from_pretrained(models.directory(CLASSIFIER))
        )


def test_devices(models):
    directory = models.directory(CLASSIFIER)
    for device in (None, -1, "cpu", torch.device("cpu")):
        assert pipeline("text-classification", directory, device=device)("cat")
    assert pipeline("text-classification", directory, device_map="auto")("cat")
    assert pipeline("text-classification", directory, device_map={"": "cpu"})("cat")
    for wrong in ("tpu!", True, 1.5):
        with pytest.raises(InputError, match="device"):
            pipeline("text-classification", directory, device=wrong)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="'cuda:3' is not there: this machine shows 0"):
            pipeline("text-classification", directory, device="cuda:3")


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "bfloat16"},
        {"dtype": torch.bfloat16},
        {"torch_dtype": torch.bfloat16},
        {"model_kwargs": {"dtype": torch.bfloat16}},
        {"model_kwargs": {"torch_dtype": "bfloat16"}},
    ],
    ids=str,
)
def test_bfloat16_on_request(models, options):
    directory = models.directory(CLASSIFIER, **THREE)
    exact = pipeline("text-classification", directory, device=-1, top_k=None)
    half = pipeline("text-classification", directory, device=-1, top_k=None, **options)
    assert (exact.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    same(exact(TEXTS[0])[0][0]["score"], half(TEXTS[0])[0][0]["score"], tolerance=0.05)
    assert exact(TEXTS) != half(TEXTS)
    with pytest.raises(UsageError, match="twice"):
        pipeline("text-classification", directory, dtype="float32", model_kwargs={"dtype": "bfloat16"})


def test_importing_pipelines_does_not_import_torch():
    code = "import sys, bothways.pipelines, bothways.tasks; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
