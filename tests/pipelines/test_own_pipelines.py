"""A pipeline class of a program's own, as the ecosystem's guide writes it, in both libraries."""

from __future__ import annotations

import numpy as np
import pytest
import transformers

import bothways
from bothways.errors import UsageError
from bothways.pipelines import PIPELINE_REGISTRY, registry

PAIRS = [("the cat sat", "a dog ran"), ("it was good", "it was not bad")]


def pair_pipeline(base):
    """Documentation of the reference, "Create a custom pipeline"."""

    class PairClassificationPipeline(base):
        def _sanitize_parameters(self, **kwargs):
            preprocess_kwargs = {}
            if "second_text" in kwargs:
                preprocess_kwargs["second_text"] = kwargs["second_text"]
            top = {} if "digits" not in kwargs else {"digits": kwargs["digits"]}
            return preprocess_kwargs, {}, top

        def preprocess(self, text, second_text=None):
            return self.tokenizer(text, text_pair=second_text, return_tensors=self.framework)

        def _forward(self, model_inputs):
            return self.model(**model_inputs)

        def postprocess(self, model_outputs, digits=6):
            logits = model_outputs.logits[0].numpy()
            shifted = np.exp(logits - logits.max(-1, keepdims=True))
            probabilities = shifted / shifted.sum(-1, keepdims=True)
            best = int(np.argmax(probabilities))
            score = round(float(probabilities[best]), digits)
            return {"label": self.model.config.id2label[best], "score": score, "logits": logits.tolist()}

    return PairClassificationPipeline


@pytest.fixture
def own_tasks(monkeypatch):
    monkeypatch.setattr(registry, "OWN_TASKS", kept := {})
    monkeypatch.setattr("bothways.pipelines.build.OWN_TASKS", kept)
    return kept


def same(ours, theirs):
    assert ours["label"] == theirs["label"] and ours["score"] == pytest.approx(theirs["score"], abs=1e-5)
    assert ours["logits"] == pytest.approx(theirs["logits"], abs=1e-5)


def test_a_class_in_four_steps_answers_as_the_references(models, own_tasks):
    directory = models.directory("BertForSequenceClassification")
    theirs = pair_pipeline(transformers.Pipeline)(
        model=transformers.AutoModelForSequenceClassification.from_pretrained(directory),
        tokenizer=transformers.AutoTokenizer.from_pretrained(directory),
    )
    own = pair_pipeline(bothways.Pipeline)
    PIPELINE_REGISTRY.register_pipeline(
        "pair-classification",
        pipeline_class=own,
        pt_model=bothways.AutoModelForSequenceClassification,
        default={"pt": (directory, "main")},
    )
    assert "pair-classification" in PIPELINE_REGISTRY.get_supported_tasks()
    made = {
        "by hand": own(
            model=bothways.AutoModelForSequenceClassification.from_pretrained(directory),
            tokenizer=bothways.AutoTokenizer.from_pretrained(directory),
        ),
        "registered": bothways.pipeline("pair-classification", model=directory),
        "by default": bothways.pipeline("pair-classification"),
        "by class": bothways.pipeline(model=directory, pipeline_class=own),
    }
    for pipe in made.values():
        assert type(pipe.model).__name__ == "BertForSequenceClassification"
        for text, second in PAIRS:
            same(pipe(text, second_text=second, batch_size=4), theirs(text, second_text=second))
        for ours, other in zip(pipe([one for one, _ in PAIRS]), theirs([one for one, _ in PAIRS]), strict=True):
            same(ours, other)
        assert list(pipe(text for text, _ in PAIRS)) == pipe([text for text, _ in PAIRS])


def test_arguments_of_the_class_are_defaults_of_the_calls(models):
    directory = models.directory("BertForSequenceClassification")
    own = pair_pipeline(bothways.Pipeline)
    pipe = bothways.pipeline(model=directory, pipeline_class=own, second_text="a dog ran", digits=2)
    with_default, other = pipe("the cat sat"), pipe("the cat sat", second_text="it was good")
    assert with_default["logits"] != other["logits"]
    assert with_default == pipe("the cat sat", second_text="a dog ran")
    assert with_default["score"] == round(with_default["score"], 2)
    assert other["score"] == round(other["score"], 2)


def test_steps_that_would_not_be_taken_are_refused_as_they_are_written():
    with pytest.raises(UsageError, match="Mine has a postprocess of its own, but TextClassificationPipeline answers"):
        type("Mine", (bothways.TextClassificationPipeline,), {"postprocess": lambda self, outputs: outputs})
    with pytest.raises(UsageError, match="has preprocess, _forward and lacks _sanitize_parameters, postprocess; all"):
        type("Mine", (bothways.Pipeline,), {"preprocess": len, "_forward": len})
    base = type(
        "Base",
        (bothways.Pipeline,),
        dict.fromkeys(("_sanitize_parameters", "preprocess", "_forward", "postprocess"), len),
    )
    type("Mine", (base,), {"postprocess": repr})  # a step of a class with steps can be changed
