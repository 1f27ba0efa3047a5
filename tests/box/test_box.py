"""The box in miniature: found by name and task, listed, shared by pipelines, used by the command, named in errors."""

from __future__ import annotations

import json
import logging
import re
import shutil

import pytest

from bothways import BertModel, pipeline
from bothways.cli.predict_words import read_words
from bothways.errors import CheckpointError, InputError, ModelNotFoundError, UsageError
from bothways.resolver import list_models, resolve_model
from bothways.resolver.box import BOX_MODELS, box_models, find_boxed, nearest_in_box
from tests.box.conftest import LABELS
from tests.conftest import json_lines

pytestmark = pytest.mark.usefixtures("own_store")

TEXT = "the good film was a very awful play"
NAMES = [model.name for model in BOX_MODELS]


@pytest.fixture(autouse=True)
def box(filled_box, monkeypatch):
    monkeypatch.setattr("bothways.resolver.box.BOX_DIRECTORY", filled_box)
    return filled_box


@pytest.fixture
def empty_box(tmp_path, monkeypatch):
    monkeypatch.setattr("bothways.resolver.box.BOX_DIRECTORY", tmp_path / "empty")


# --- by name


@pytest.mark.parametrize("model", BOX_MODELS, ids=NAMES)
def test_names_and_aliases_lead_there(box, model):
    for name in (model.name, model.name.upper(), *model.aliases):
        assert resolve_model(name) == box / model.name
    assert find_boxed("minilm-l6") is None


def test_a_directory_and_the_store_come_first(box, tmp_path, monkeypatch, filled_box):
    monkeypatch.chdir(tmp_path)
    stored = tmp_path / "home/models/sentiment"
    shutil.copytree(filled_box / "minilm-l6-nli", stored)
    assert resolve_model("sentiment") == stored
    (tmp_path / "ner").mkdir()
    assert resolve_model("ner").resolve() == tmp_path / "ner"


def test_what_is_not_in_the_box_is_said(empty_box):
    assert all(model.path is None and model.main_score() == "" for model in box_models())
    with pytest.raises(ModelNotFoundError, match="minilm-l6-ner belongs into the box .* does not have it"):
        resolve_model("ner")
    with pytest.raises(UsageError, match=r"no default model.*minilm-l6-qa belongs into the box.*is not in this inst"):
        pipeline("question-answering")
    assert not [entry for entry in list_models() if entry.where == "box"]
    assert nearest_in_box("dslim/bert-base-NER") is None


def test_they_are_listed_with_their_scores(box, command):
    entries = {entry.name: entry for entry in list_models() if entry.where == "box"}
    assert list(entries) == NAMES
    ner = entries["minilm-l6-ner"]
    assert (ner.path, ner.score, ner.licence) == (box / "minilm-l6-ner", "accuracy 0.912 on made-up", "Apache-2.0")
    code, out, _ = command("models", "--json")
    assert (
        code == 0 and {e["name"]: e["score"] for e in json.loads(out)}["minilm-l6-nli"] == "accuracy 0.912 on made-up"
    )
    code, out, _ = command("models")
    assert code == 0 and "In the box" in out
    for name in NAMES:
        assert name in out


@pytest.mark.parametrize("card", ["", "[]", "{}", '{"scores": []}', '{"scores": [{"metric": 1}]}', '{"scores": 3}'])
def test_a_damaged_card_does_not_stop_the_list(box, tmp_path, monkeypatch, card):
    shutil.copytree(box / "minilm-l6-ner", tmp_path / "box/minilm-l6-ner")
    (tmp_path / "box/minilm-l6-ner/card.json").write_text(card)
    monkeypatch.setattr("bothways.resolver.box.BOX_DIRECTORY", tmp_path / "box")
    assert [entry.score for entry in list_models() if entry.where == "box"] == [""]


# --- pipelines


def test_every_task_has_a_model_and_all_share_one_encoder():
    pipes = {
        "sentiment-analysis": pipeline("sentiment-analysis"),
        "ner": pipeline("ner", grouped_entities=True),
        "question-answering": pipeline("question-answering"),
        "zero-shot-classification": pipeline("zero-shot-classification"),
        "fill-mask": pipeline("fill-mask"),
    }
    assert pipes["sentiment-analysis"](TEXT)[0]["label"] in LABELS["sentiment"]
    assert all(entity["entity_group"] in ("PER", "LOC") for entity in pipes["ner"](TEXT))
    answer = pipes["question-answering"](question="what was it", context=TEXT)
    assert TEXT[answer["start"] : answer["end"]] == answer["answer"]
    assert sorted(pipes["zero-shot-classification"](TEXT, ["a", "b"])["labels"]) == ["a", "b"]
    assert len(pipes["fill-mask"]("the [MASK] film")) == 5
    words = {pipe.model.get_input_embeddings().weight.data_ptr() for pipe in pipes.values()}
    products = {id(pipe.model.bert.encoder.layer[0].intermediate.dense.prepared.shared) for pipe in pipes.values()}
    assert len(words) == len(products) == 1
    named = pipeline("text-classification", model="minilm-l6-nli")
    assert named.model.get_input_embeddings().weight.data_ptr() in words
    assert set(named.model.config.label2id) == set(LABELS["nli"])


def test_the_default_encoder_is_the_same_one(tiny_model, monkeypatch):
    def resolve(name, **_):
        return tiny_model

    sentiment = pipeline("sentiment-analysis")
    monkeypatch.setattr("bothways.resolver.resolve.resolve_model", resolve)
    features = pipeline("feature-extraction")
    assert isinstance(features.model, BertModel)
    assert features.model.shared_encoder is sentiment.model.shared_encoder is not None
    assert len(features(TEXT)[0]) == len(features.tokenizer(TEXT)["input_ids"])


def test_a_configuration_or_options_of_ones_own_share_nothing(box):
    from bothways import AutoConfig

    config = AutoConfig.from_pretrained(box / "minilm-l6-sentiment", id2label={0: "bad", 1: "good"})
    assert pipeline("sentiment-analysis", config=config).model.shared_encoder is None
    assert pipeline("sentiment-analysis", config=config)(TEXT)[0]["label"] in ("bad", "good")
    assert pipeline("sentiment-analysis", model_kwargs={"merge": True}).model.shared_encoder is None
    assert pipeline("sentiment-analysis", model=box / "minilm-l6-sentiment").model.shared_encoder is None


def test_the_wrong_task_is_refused():
    with pytest.raises(InputError, match=r"no weights for the token-class.* In the box there is minilm-l6-ner\."):
        pipeline("ner", model="minilm-l6-sentiment")


def test_another_encoder_is_refused(box, tiny_model, tmp_path, monkeypatch):
    encoder = shutil.copytree(tiny_model, tmp_path / "encoder")
    BertModel.from_pretrained(tiny_model).double().save_pretrained(encoder)
    adapter = shutil.copytree(box / "minilm-l6-ner", tmp_path / "box/minilm-l6-ner")
    settings = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": str(encoder)}))
    monkeypatch.setattr("bothways.resolver.box.BOX_DIRECTORY", tmp_path / "box")
    with pytest.raises(CheckpointError, match=f"trained on the encoder .* with sha256 .* but {encoder} holds weights"):
        pipeline("ner")


def test_the_box_has_no_revisions(box, caplog):
    """As a tutorial has them behind the name that it is to be changed in."""
    with caplog.at_level(logging.WARNING, "bothways"):
        pipe = pipeline("sentiment-analysis", model="minilm-l6-sentiment", revision="714eb0f")
        assert pipeline("sentiment-analysis", revision="714eb0f")(TEXT) == pipe(TEXT)
    assert [r.message for r in caplog.records] == [
        "minilm-l6-sentiment lies in the box of this library, which has no revisions: '714eb0f' has no effect."
    ]


def test_the_default_is_that_of_the_package_whatever_else_has_its_name(box, filled_box, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "minilm-l6-ner").mkdir()
    assert pipeline("ner").model.config.id2label
    shutil.copytree(filled_box / "minilm-l6-nli", tmp_path / "home/models/minilm-l6-sentiment")
    assert pipeline("sentiment-analysis")(TEXT)[0]["label"] in LABELS["sentiment"]


def test_a_model_of_the_box_is_not_put_into_the_store(box, tmp_path, command):
    code, out, err = command("models", "--download", "sentiment")
    assert code == 0, err
    assert out.replace("\n", "") == f"sentiment is in {box / 'minilm-l6-sentiment'}"
    assert not (tmp_path / "home/models/sentiment").exists()


# --- names from tutorials


@pytest.mark.parametrize(
    ("task", "name", "nearest"),
    [
        ("sentiment-analysis", "distilbert-base-uncased-finetuned-sst-2-english", "minilm-l6-sentiment"),
        ("text-classification", "textattack/bert-base-uncased-imdb", "minilm-l6-sentiment"),
        ("ner", "dslim/bert-base-NER", "minilm-l6-ner"),
        ("ner", "dbmdz/bert-large-cased-finetuned-conll03-english", "minilm-l6-ner"),
        ("question-answering", "deepset/roberta-base-squad2", "minilm-l6-qa"),
        ("zero-shot-classification", "facebook/bart-large-mnli", "minilm-l6-nli"),
        ("fill-mask", "bert-base-uncased", "minilm-l6-fill-mask"),
        ("fill-mask", "distilroberta-base", "minilm-l6-fill-mask"),
        ("feature-extraction", "sentence-transformers/all-mpnet-base-v2", "minilm-l6"),
        ("feature-extraction", "bert-base-uncased", "minilm-l6"),
        ("text-classification", "someone/toxic-comments", None),
        ("summarization", "facebook/bart-large-cnn", None),
        (None, "distilbert-base-uncased-finetuned-sst-2-english", "minilm-l6-sentiment"),
        (None, "dslim/bert-base-NER", "minilm-l6-ner"),
        (None, "deepset/roberta-base-squad2", "minilm-l6-qa"),
        (None, "facebook/bart-large-mnli", "minilm-l6-nli"),
        (None, "sentence-transformers/paraphrase-MiniLM-L3-v2", "minilm-l6"),
        (None, "bert-base-uncased", "minilm-l6"),
        (None, "google-bert/bert-base-cased", "minilm-l6"),
        (None, "roberta-large", "minilm-l6"),
        (None, "someone/bert-of-mine", "minilm-l6"),
        (None, "google/electra-small-discriminator", "minilm-l6"),
        (None, "answerdotai/ModernBERT-base", "minilm-l6"),
        (None, "dmis-lab/biobert-v1.1", "minilm-l6"),
        (None, "someone/gpt-of-mine", None),
        (None, "minilm-l6", None),
        (None, "ProsusAI/finbert", "minilm-l6-sentiment"),
        (None, "xlm-roberta-base", "minilm-l6"),
        (None, "bert-base-multilingual-cased", "minilm-l6"),
    ],
)
def test_a_model_of_a_tutorial_has_a_neighbour_here(task, name, nearest):
    sentence = nearest_in_box(name, task)
    if nearest is None:
        assert sentence is None
    else:
        assert sentence is not None and re.search(rf"is {nearest}( \(.*\))?: give that name\.", sentence)


def test_the_neighbour_stands_in_the_error():
    from bothways import AutoModelForSequenceClassification

    with pytest.raises(ModelNotFoundError) as caught:
        AutoModelForSequenceClassification.from_pretrained("distilbert-base-uncased-finetuned-sst-2-english")
    assert "was not found. Tried, in order:" in str(caught.value)
    assert str(caught.value).endswith(
        "\nThe nearest model in the box of this library is minilm-l6-sentiment (accuracy 0.912 on made-up): give "
        "that name."
    )
    with pytest.raises(ModelNotFoundError) as caught:
        pipeline("fill-mask", model="bert-base-uncased")
    lines = str(caught.value).splitlines()
    assert lines[-1].startswith("The nearest model in the box") and "minilm-l6-fill-mask" in lines[-1]
    assert not any("nearest" in line for line in lines[:-1])


def test_the_head_of_a_class_says_what_a_model_is_wanted_for():
    from bothways import AutoModelForMaskedLM, AutoModelForTokenClassification, BertForQuestionAnswering

    wanted = {AutoModelForTokenClassification: "ner", AutoModelForMaskedLM: "fill-mask", BertForQuestionAnswering: "qa"}
    for cls, place in wanted.items():
        with pytest.raises(ModelNotFoundError) as caught:
            cls.from_pretrained("someone/bert-of-mine")
        last = str(caught.value).splitlines()[-1]
        assert last.startswith(f"The nearest model in the box of this library is minilm-l6-{place} ")


# --- the command


def test_predict_by_task(command):
    code, out, err = command("predict", "--task", "sentiment", "the film was good", "awful")
    first, second = json_lines(out)
    assert code == 0, err
    assert (first["row"], second["row"]) == (1, 2) and first["label"] in LABELS["sentiment"]
    code, out, _ = command("predict", "--task", "ner", TEXT)
    assert code == 0 and json_lines(out)[0]["entities"] is not None
    words = ("predict", "--task", "question-answering", "--question", "what was it", TEXT, "the play")
    code, out, _ = command(*words)
    assert code == 0 and [
        line["answer"] in text for line, text in zip(json_lines(out), (TEXT, "the play"), strict=True)
    ]
    code, out, _ = command("predict", "--task", "zero-shot", "--labels", "a,b", TEXT)
    assert code == 0 and len(json_lines(out)[0]["labels"]) == 2
    code, out, _ = command("predict", "--task", "fill-mask", "the [MASK] film", "--top-k", 2)
    assert code == 0 and len(json_lines(out)[0]["candidates"]) == 2


@pytest.mark.parametrize("name", ["distilbert-base-uncased-finetuned-sst-2-english", "./nowhere", "/no/where"])
def test_a_model_that_is_not_here_is_not_answered_as_a_text(name, command):
    code, out, err = command("predict", "--task", "sentiment", name, "I love it")
    assert code == 2 and out == "" and ("was not found" in err or "There is no directory" in err), err
    code, out, _ = command("predict", "--task", "sentiment", "well-made", "I love it")
    assert code == 0 and len(json_lines(out)) == 2


def test_the_neighbour_is_of_the_task_that_was_asked(command):
    _, _, err = command("predict", "--task", "sentiment", "--model", "made-up", "a text")
    assert "The nearest model in the box of this library is minilm-l6-sentiment" in err.replace("\n", " ")


@pytest.mark.parametrize("name", ["x" * 300, "I love it " * 40])
def test_a_text_in_the_place_of_a_name_is_no_name(name):
    with pytest.raises(ModelNotFoundError, match="was not found"):
        resolve_model(name)


def test_predict_a_file_with_the_model_of_the_box(command, tmp_path, box):
    (tmp_path / "texts.txt").write_text(f"{TEXT}\ngood\n")
    expected = command("predict", "--task", "sentiment", TEXT, "good")
    assert command("predict", "--task", "sentiment", tmp_path / "texts.txt") == expected
    assert command("predict", "minilm-l6-sentiment", tmp_path / "texts.txt") == expected
    assert command("predict", "--model", "sentiment", tmp_path / "texts.txt") == expected
    assert command("predict", "sentiment", TEXT, "good") == expected
    assert command("predict", "--task", "sentiment", "minilm-l6-sentiment", TEXT, "good") == expected
    asked = ("--task", "question-answering", "--question", "what")
    answers = command("predict", *asked, tmp_path / "texts.txt")
    assert answers[0] == 0 and answers == command("predict", *asked, TEXT, "good")
    code, out, _ = command("predict", box / "minilm-l6-sentiment", TEXT, "good")
    for own, boxed in zip(
        json_lines(out), json_lines(expected[1]), strict=True
    ):  # merged here, beside the encoder there
        assert own == {**boxed, "score": pytest.approx(boxed["score"], abs=1e-6)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "sentiment"], "there is nothing to answer: give a MODEL or --task"),
        (["minilm-l6-ner"], "give a FILE, - for standard input, or texts"),
        (["--task", "sentiment", "nowhere.csv"], "nowhere.csv"),
        (["--task", "question-answering", TEXT], "question-answering needs --question beside texts"),
        (["--task", "ner", "--question", "who", TEXT], "--question is not for token-classification"),
        (["--task", "sentiment", "--encoding", "latin-1", TEXT], "are for a file, and texts were given"),
        (["--task", "multiple-choice", TEXT], "multiple-choice does not answer single texts"),
        (["--task", "poetry", TEXT], "unknown task 'poetry'"),
        (["--task", "zero-shot", TEXT], "needs --labels"),
    ],
)
def test_wrong_words(command, words, message):
    code, out, err = command("predict", *words)
    assert code in (1, 2) and not out and message in err


def test_which_word_is_the_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("good\n")
    (tmp_path / "good").write_text("a file without a suffix\n")
    (tmp_path / "mine").mkdir()

    def sorted_as(*words, task=None, model=None):
        given = read_words(words, task, model)
        return given.model, given.file, given.texts

    assert sorted_as("any/name", "a.txt") == ("any/name", "a.txt", ())
    assert sorted_as("any", "I loved it", "not") == ("any", None, ("I loved it", "not"))
    assert sorted_as("any", "-") == ("any", "-", ())
    assert sorted_as("a.txt", task="ner") == (None, "a.txt", ())
    assert sorted_as("good", task="ner") == (None, "good", ())
    assert sorted_as("I loved it", "bad", task="ner") == (None, None, ("I loved it", "bad"))
    assert sorted_as("mine", "bad", task="ner") == ("mine", None, ("bad",))
    assert sorted_as("org/name", "bad", task="ner") == ("org/name", None, ("bad",))
    assert sorted_as("unheard", "a.txt", task="ner") == ("unheard", "a.txt", ())
    assert sorted_as("minilm-l6", "bad", task="ner") == ("minilm-l6", None, ("bad",))
    assert sorted_as("minilm-l6", task="ner") == (None, None, ("minilm-l6",))
    assert sorted_as("mine", "bad", model="other") == ("other", None, ("mine", "bad"))
    assert sorted_as("", "x" * 5000, "a\0b", task="ner") == (None, None, ("", "x" * 5000, "a\0b"))
    with pytest.raises(UsageError, match=r"a\.txt is a file, among 2 words"):
        sorted_as("bad", "a.txt", model="m")
