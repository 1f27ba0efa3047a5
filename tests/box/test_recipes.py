"""The recipes of the box, in miniature: one adapter is made from data to card; the others prepare and ask."""

from __future__ import annotations

import gzip
import json
import lzma
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bothways import pipeline
from bothways.data.squad import load_questions
from bothways.data.tagged import load_tagged
from bothways.errors import BothwaysError, UsageError
from bothways.metrics.question_answering import answer_exact
from bothways.nn.lora import lora_layers
from bothways.resolver.adapters import recorded_encoder
from bothways.resolver.box import BOX_MODELS, read_card
from recipes.box import _common, _thinned, fill_mask, ner, nli, qa, sentiment, topics
from recipes.box._card import card_page, expected_error
from tests.box.conftest import HEADS
from tests.conftest import sentences

pytestmark = pytest.mark.usefixtures("own_store")

RECIPES = {"sentiment": sentiment, "ner": ner, "qa": qa, "nli": nli, "fill-mask": fill_mask}


def put(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def rated(count: int, seed: int, more: str = "") -> list[dict]:
    return [{"text": text + more, "label": int(label == "pos")} for text, label in sentences(count, seed)]


@pytest.fixture
def data(tmp_path) -> Path:
    """The layout of the data catalogue, with a handful of rows in each file."""
    root = tmp_path / "data"
    put(root / "sst2/train.jsonl.gz", rated(160, 1))
    put(root / "sst2/dev.jsonl.gz", rated(40, 2))
    put(root / "imdb/train.jsonl.gz", sorted(rated(150, 3, "<br /><br />the end"), key=lambda row: row["label"]))
    pairs = [
        {"text_a": "a cat", "text_b": "the film", "label": label}
        for label in ("entailment", "neutral", "contradiction", "not_entailment")
    ]
    for name in ("multinli_train", "snli_cad_train", "snli_cad_dev", "sick_train", "sick_trial"):
        put(root / f"nli/{name}.jsonl.gz", pairs[:3])
    dev = [pair | {"text_a": f"{pair['text_a']} {n}"} for n in range(30) for pair in pairs[:3]]
    put(root / "nli/multinli_dev.jsonl.gz", dev)
    put(root / "nli/rte123_train.jsonl.gz", [pairs[0], pairs[3]])
    news = [{"text": f"the film {i}", "label": label} for i, label in enumerate(["sport", "business", "politics"] * 4)]
    put(root / "bbc_news/train.jsonl.gz", news)
    posts = ["rec.autos", "sci.space", "sci.electronics", "comp.graphics"] * 5
    quoted = "> a line of another\nIn article 7 he writes:\n"
    put(root / "newsgroups20/train.jsonl.gz", [{"text": f"{quoted}a post", "label": label} for label in posts])
    asked = [{"text": "where is it?", "label": label} for label in ("card_arrival", "lost_card")]
    put(root / "banking77/train.jsonl.gz", asked)
    put(root / "sst2/train_sentences.jsonl.gz", rated(10, 4))
    put(root / "ag_news/train.jsonl.gz", [{"text": "good film", "label": label} for label in nli.NEWS])
    return root


def test_an_adapter_is_made_from_data_to_card(data, tiny_model, tmp_path, monkeypatch):
    box = tmp_path / "box"
    monkeypatch.setattr("bothways.resolver.box.BOX_DIRECTORY", box)
    fast = {"epochs": 4, "learning_rate": 8e-3, "batch_size": 16}
    recipe = replace(sentiment.RECIPE, rank=4, settings=fast)
    made = _common.make(recipe, data, tmp_path / "run", minutes=None, box=box, encoder=tiny_model)
    assert made == box / "minilm-l6-sentiment"
    names = {"adapter_config.json", "adapter_model.safetensors", "card.json", "config.json", "README.md"}
    assert {path.name for path in made.iterdir()} == names
    assert recorded_encoder(made) == recorded_encoder(tmp_path / "run")

    card = read_card(BOX_MODELS[0])
    main, reviews = card["scores"]
    assert (main["data"], main["metric"], main["count"]) == ("SST-2 dev", "accuracy", 40)
    assert main["low"] <= main["value"] <= main["high"] and main["value"] > 0.8
    assert reviews["data"].startswith("IMDB") and reviews["count"] > 5
    pipe = pipeline("sentiment-analysis")
    rows = rated(40, 2)
    found = pipe([row["text"] for row in rows])
    right = sum(got["label"] == sentiment.NAMES[row["label"]] for got, row in zip(found, rows, strict=True))
    assert main["value"] == pytest.approx(right / 40)
    assert card["settings"]["rank"] == 4 and card["settings"]["learning_rate"] == 8e-3
    assert card["weights"]["bytes"] == (made / "adapter_model.safetensors").stat().st_size
    assert card["training"]["steps"] > 10 and 0 <= card["calibration"]["error"] <= 1
    assert [one["answer"] for one in card["answers"]] == [
        pipe(one["input"])[0]["label"] for one in _common.samples("sentiment")
    ]
    assert str(tmp_path) not in (made / "card.json").read_text() and "SST-2" in card["data"][0]["name"]

    page = (made / "README.md").read_text()
    assert page == card_page(card)
    assert f"| SST-2 dev | accuracy | {main['value']:.3f} |" in page and "## Known failures" in page
    with pytest.raises(UsageError, match="there is no sst2/train"):
        sentiment.prepare(tmp_path, tmp_path)


def test_masked_words_are_learned_beside_the_encoder(tiny_model, tmp_path, monkeypatch):
    """In stages, of which each goes on with the one before and none is made twice."""
    calls, learn = [], fill_mask.pretrain

    def two_steps(*places, minutes, **options):
        calls.append((minutes, options["optimizer"], str(options["model"])))
        learn(*places, steps=2, **options)

    box, text = tmp_path / "box", tmp_path / "data/text"
    monkeypatch.setattr("bothways.resolver.box.BOX_DIRECTORY", box)
    text.mkdir(parents=True)
    documents = "\n\n".join(sentence for sentence, _ in sentences(60))
    for name in ("train-00", "valid"):
        (text / f"wikipedia-en-{name}.txt.xz").write_bytes(lzma.compress(documents.encode()))
    monkeypatch.setattr(fill_mask, "PARTS", 1)
    monkeypatch.setattr(fill_mask, "ENCODER", tiny_model)
    monkeypatch.setattr(fill_mask, "STAGES", [stage | {"max_length": 16} for stage in fill_mask.STAGES[::2]])
    monkeypatch.setattr(fill_mask, "ROWS", (16, 32))
    monkeypatch.setattr(fill_mask, "RECIPE", replace(fill_mask.RECIPE, rank=2))
    monkeypatch.setattr(fill_mask, "pretrain", two_steps)
    shards, valid, held = fill_mask.prepare(tmp_path / "data", tmp_path)
    for _ in range(2):
        began = fill_mask.learn(shards, valid, tmp_path / "run", 260.0)
    assert calls == [(200.0, "adamw", str(tiny_model)), (60.0, "muon", str(tmp_path / "run.1"))]
    assert began == ("Before the run below: 200 minutes and 0.0 million tokens with adamw and rows of 16 tokens.")
    made = _common.finish(replace(fill_mask.RECIPE, began=began), tmp_path / "data", tmp_path / "run", box, held, None)
    card = read_card(BOX_MODELS[-1])
    assert card["began"] == began and card["settings"]["optimizer"] == "muon"
    assert made.name == card["name"] == "minilm-l6-fill-mask"
    assert card["scores"][0]["metric"] == "accuracy at masks" and card["scores"][0]["count"] >= 60
    assert card["calibration"]["count"] == card["scores"][0]["count"]
    assert len(pipeline("fill-mask")("the [MASK] film")) == 5
    assert (made / "README.md").read_text() == card_page(card)


def test_a_whole_model_becomes_the_nearest_adapter(tiny_model, tmp_path):
    """With room for all nothing is lost of what an adapter can hold; with less the rest is the smallest."""
    torch.manual_seed(0)
    whole, plain = (HEADS["qa"].from_pretrained(tiny_model) for _ in range(2))
    with torch.no_grad():
        for name, parameter in whole.named_parameters():
            if any(
                part in name for part in (".dense.weight", "query.w", "key.w", "value.w", "qa_outputs", "token_type")
            ):
                parameter.add_(torch.randn_like(parameter) * (0.2 if "layer.1" in name else 0.1))
    whole.save_pretrained(tmp_path / "whole")
    exact = _thinned.thinned(tmp_path / "whole", tmp_path / "exact", encoder=tiny_model)
    ids, types = torch.tensor([[2, 7, 8, 3, 9, 3]]), torch.tensor([[0, 0, 0, 0, 1, 1]])
    with torch.no_grad():
        got, expected = (model(ids, token_type_ids=types)[0] for model in (HEADS["qa"].from_pretrained(exact), whole))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)

    place = _thinned.thinned(tmp_path / "whole", tmp_path / "thin", most_bytes=12_000, encoder=tiny_model)
    thin = HEADS["qa"].from_pretrained(place, merge=False)
    assert 11_000 < 2 * thin.num_parameters(only_trainable=True) <= 12_000
    ranks = {path: layer.r for path, layer in lora_layers(thin)}
    assert sum(r for path, r in ranks.items() if "layer.1" in path) > sum(
        r for path, r in ranks.items() if "layer.0" in path
    )
    name = "bert.encoder.layer.1.output.dense"
    merged = HEADS["qa"].from_pretrained(place)
    change, kept = (m.get_parameter(f"{name}.weight") - plain.get_parameter(f"{name}.weight") for m in (whole, merged))
    left = torch.linalg.svdvals(change)[ranks[name] :].norm()
    torch.testing.assert_close(torch.linalg.matrix_norm(change - kept), left, atol=1e-5, rtol=1e-4)


def test_an_adapter_goes_on_in_a_recipe(data, tiny_model, filled_box, tmp_path, monkeypatch):
    monkeypatch.setattr("bothways.resolver.box.BOX_DIRECTORY", tmp_path / "box")
    slowly = {"epochs": 1, "learning_rate": 1e-6, "batch_size": 16}
    recipe = replace(sentiment.RECIPE, rank=None, dtype="float16", settings=slowly)
    start = filled_box / "minilm-l6-sentiment"
    made = _common.make(recipe, data, tmp_path / "run", minutes=None, box=tmp_path / "box", encoder=start)
    before, after = (HEADS["sentiment"].from_pretrained(place, merge=False) for place in (start, made))
    for name, parameter in before.named_parameters():
        if "lora_" in name:
            torch.testing.assert_close(after.get_parameter(name), parameter, atol=1e-3, rtol=1e-3)


def test_too_large_for_the_box(filled_box, monkeypatch, tmp_path):
    monkeypatch.setattr(_common, "MOST_BYTES", 5_000)
    with pytest.raises(BothwaysError, match=r"the adapter has [\d,]+ bytes, at most 5,000 fit into the box"):
        _common.write_adapter(filled_box / "minilm-l6-ner", tmp_path / "adapter", "float16")
    assert not (tmp_path / "adapter").exists()


def test_a_recipe_finds_the_same_files_again(data, tmp_path):
    (train, other), dev, held = sentiment.prepare(data, tmp_path)
    before = {file: file.read_bytes() for file in (train, other, dev, held[1].file)}
    sentiment.prepare(data, tmp_path)
    assert before == {file: file.read_bytes() for file in before}
    reviews = [{row["text"] for row in sentiment.plain_rows(file)} for file in (other, held[1].file)]
    assert all(reviews) and not reviews[0] & reviews[1]
    assert {row["label"] for row in sentiment.plain_rows(held[1].file)} == set(sentiment.NAMES)
    assert not any("<br" in text for text in reviews[0])


def test_pairs_have_three_labels(data, tmp_path):
    files, chooses, held = nli.prepare(data, tmp_path)
    rows = [row for file in files for row in sentiment.plain_rows(file)]
    assert {row["label"] for row in rows} == set(nli.LABELS)
    assert list(rows[0]) == ["premise", "hypothesis", "label"]
    assert [one.name.split(",")[0] for one in held] == ["MultiNLI", "SNLI with revisions", "SICK trial"]


def test_each_text_is_beside_a_name_that_fits_and_one_that_does_not(data):
    pairs = list(topics.topic_pairs(data))
    assert pairs == list(topics.topic_pairs(data)) and len(pairs) == 2 * (12 + 20 + 2 + 10)
    assert [pair["label"] for pair in pairs] == ["entailment", "contradiction"] * 44
    for right, wrong in zip(pairs[::2], pairs[1::2], strict=True):
        assert right["premise"] == wrong["premise"] and right["hypothesis"] != wrong["hypothesis"]
    assert {pair["premise"] for pair in pairs[24:64]} == {"a post"}  # without what was quoted
    said = {pair["hypothesis"].split(" is ", 1)[-1].rstrip(".") for pair in pairs}
    assert said & {"card arrival", "about card arrival"} and said & {"negative", "about negative"}


@pytest.mark.parametrize("label", [label for field in topics.FIELDS.values() for label in field])
def test_a_name_of_ones_own_field_is_never_wrong(label):
    labels = [label for field in topics.FIELDS.values() for label in field]
    own = next(names for names in topics.FIELDS.values() if label in names)
    fits = {name for names in own.values() for name in names}
    generator = random.Random(0)
    for right, wrong in (topics.topic_names(label, labels, generator) for _ in range(100)):
        assert right in own[label] and wrong not in fits


def test_a_premise_of_multinli_is_trained_on_or_scored(data, tmp_path):
    files, chooses, held = nli.prepare(data, tmp_path)
    assert files[0].name == "multinli.jsonl"
    parts = [sentiment.plain_rows(file) for file in (files[0], chooses, held[0].file)]
    premises = [{row["premise"] for row in rows} for rows in parts]
    assert all(premises) and sum(map(len, premises)) == len(set().union(*premises)) == 31
    assert sum(map(len, parts)) == 3 + 90


def test_types_of_entities_are_mapped(tmp_path):
    root = tmp_path / "data"
    for path, text in {
        "conll2003/eng.train.gz": "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nand VBZ I-VP O\nGerman JJ I-NP I-MISC\n",
        "conll2003/eng.testa.gz": "A NN I-NP I-LOC\nB NN I-NP B-LOC\n",
        "wnut17/train.conll.gz": "Apple\tB-corporation\nPay\tB-product\nfor\tO\nAnn\tB-person\nLee\tI-person\n",
        "wnut17/dev.conll.gz": "Queen\tB-group\nHero\tB-creative-work\nOslo\tB-location\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(gzip.compress(text.encode()))
    files, chooses, held = ner.prepare(root, tmp_path)
    tags = [example.tags for file in (*files, chooses, held[1].file) for example in load_tagged(file).examples]
    assert tags == [
        ("B-ORG", "O", "B-MISC"),
        ("B-ORG", "B-MISC", "O", "B-PER", "I-PER"),
        ("B-LOC", "B-LOC"),
        ("B-ORG", "B-MISC", "B-LOC"),
    ]


def squad(titles: list[str], questions: int = 6) -> bytes:
    def paragraph(title: str, number: int) -> dict:
        context = f"{title}{number} stands here. It is called word{number}."
        qas = [
            {
                "id": f"{title}-{number}-{i}",
                "question": f"What is number {number} called, asked {i}?",
                "answers": [{"text": f"word{number}", "answer_start": context.index(f"word{number}")}],
            }
            for i in range(questions)
        ]
        return {"context": context, "qas": qas}

    data = [{"title": title, "paragraphs": [paragraph(title, n) for n in (1, 2, 3)]} for title in titles]
    return gzip.compress(json.dumps({"version": "1.1", "data": data}).encode())


def test_questions_without_an_answer(tmp_path):
    root = tmp_path / "data/squad"
    root.mkdir(parents=True)
    (root / "train-v1.1.json.gz").write_bytes(squad(["A", "B", "C"]))
    (root / "dev-v1.1-part.json.gz").write_bytes(squad(["D", "E"]))
    two = json.loads(gzip.decompress(squad(["D", "E", "F"])))
    misleading = {"id": "x", "question": "misleading", "is_impossible": True, "answers": []}
    two["data"][1]["paragraphs"][0]["qas"].append(misleading)
    (root / "dev-v2.0-part.json.gz").write_bytes(gzip.compress(json.dumps(two).encode()))
    (train,), chooses, held = qa.prepare(tmp_path / "data", tmp_path)
    examples = load_questions(train).examples
    lost = [example for example in examples if example.is_impossible]
    assert len(examples) - len(lost) == 54 and 3 <= len(lost) <= 20
    for example in lost:  # the number in the question is not that of its paragraph
        assert f"word{example.question.split()[3]}" not in example.context

    chosen_on = load_questions(chooses).examples
    lost = [example for example in chosen_on if example.is_impossible]
    assert len(chosen_on) - len(lost) == 18 and 4 <= len(lost) <= 14  # half, of the kind that training has
    assert not {"misleading"} & {example.question for example in chosen_on}

    def titles(file: Path) -> list[str]:
        return [article["title"] for article in json.loads(file.read_text())["data"]]

    assert titles(chooses) == ["E"] and titles(held[1].file) == ["D", "F"] and titles(held[0].file) == ["D", "E"]


def test_questions_that_all_have_an_answer_get_one(filled_box, tmp_path):
    root = tmp_path / "squad"
    root.mkdir()
    (root / "dev-v1.1-part.json.gz").write_bytes(squad(["D"], questions=2))
    f1, exact = qa.always_answering(tmp_path, filled_box / "minilm-l6-qa")
    pipe = pipeline("question-answering", model=filled_box / "minilm-l6-qa", device=-1)
    said = [
        pipe(question=f"What is number {number} called, asked {i}?", context=f"D{number} stands here. {called}")
        for number, called in ((n, f"It is called word{n}.") for n in (1, 2, 3))
        for i in range(2)
    ]
    assert all(one["answer"] for one in said)
    right = [answer_exact(one["answer"], [f"word{i // 2 + 1}"]) for i, one in enumerate(said)]
    assert exact["value"] == sum(right) / 6 <= f1["value"] and f1["count"] == exact["count"] == 6
    assert f1["low"] <= f1["value"] <= f1["high"] and "always answering" in f1["data"]


@pytest.mark.parametrize("kind", list(HEADS))
def test_the_samples_are_asked(filled_box, kind):
    recipe = RECIPES[kind].RECIPE
    assert recipe.name == f"minilm-l6-{kind}" and recipe.name in [model.name for model in BOX_MODELS]
    answers = recipe.answer(_common.pipeline_for(recipe, filled_box / recipe.name))
    assert len(answers) >= 4 and all({"input", "expected", "answer", "score"} <= set(one) for one in answers)
    assert all(0 <= one["score"] <= 1 for one in answers)


def test_masked_words_are_counted(filled_box, tmp_path):
    file = tmp_path / "valid.txt.xz"
    file.write_bytes(lzma.compress(("Title\n" + "good film was bad " * 9 + "\n\nOther\nthe play\n").encode()))
    pipe = _common.pipeline_for(fill_mask.RECIPE, filled_box / "minilm-l6-fill-mask")
    found = list(fill_mask.masked(file, pipe, row=20))
    assert found == list(fill_mask.masked(file, pipe, row=20))
    assert 5 <= len(found) <= 10 and all(0 < sureness <= 1 for sureness, _ in found)
    shown = list(fill_mask.masked(file, pipe, row=20, as_learned=True))
    assert len(shown) == len(found) and shown != found  # some of the words stand there, or others
    words = pipe("good [MASK] was bad", top_k=1)
    logits = pipe.runner.masked_logits([pipe.tokenizer("good [MASK] was bad")["input_ids"]], [[2]])[0]
    (word,), (sureness,) = fill_mask.best(logits)
    assert int(word) == words[0]["token"] and float(sureness) == pytest.approx(words[0]["score"], abs=1e-6)


def test_zero_shot_topics_are_scored(data, filled_box):
    (score,) = nli.news(data, filled_box / "minilm-l6-nli")
    assert score["count"] == 4 and score["value"] == 0.25  # four times the same text, once right


def test_expected_error_by_hand():
    assert expected_error([]) == 0.0
    assert expected_error([(0.9, True), (0.9, True)]) == pytest.approx(0.1)
    assert expected_error([(0.9, True), (0.9, False), (0.5, True), (0.5, False)]) == pytest.approx(0.2)
