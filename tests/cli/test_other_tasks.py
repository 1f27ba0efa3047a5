"""train, evaluate and predict for the tasks beside text classification, as a user runs them, on a tiny model."""

from __future__ import annotations

import json
import random

import pytest
import transformers

from tests.conftest import WORDS, json_lines

NAMES = {"PER": WORDS[0], "LOC": WORDS[1]}
"""Every name is one word: a tiny model learns it in a few epochs."""


def tagged(count: int, seed: int = 0) -> list[tuple[list[str], list[str]]]:
    generator = random.Random(seed)
    rows = []
    for _ in range(count):
        words = generator.choices(WORDS, k=generator.randint(3, 9))
        rows.append((words, [next((f"B-{k}" for k, name in NAMES.items() if name == w), "O") for w in words]))
    return rows


def questions(count: int, seed: int = 0, impossible: bool = False) -> dict:
    """The answer is the word after a mark; without a mark there is none."""
    generator = random.Random(seed)
    mark, *others = WORDS
    entries = []
    for number in range(count):
        words = generator.choices(others, k=12)
        place = generator.randrange(11)
        none = impossible and number % 3 == 0
        if not none:
            words[place] = mark
        context, answer = " ".join(words), words[place + 1]
        start = len(" ".join(words[: place + 1])) + 1
        entry = {"id": f"q{number}", "question": mark, "is_impossible": none, "answers": []}
        if not none:
            entry["answers"] = [{"text": answer, "answer_start": start}]
        entries.append({"context": context, "qas": [entry]})
    return {"version": "v2.0", "data": [{"title": "t", "paragraphs": entries}]}


@pytest.fixture(scope="module")
def conll(tmp_path_factory):
    path = tmp_path_factory.mktemp("ner") / "train.conll"
    path.write_text("\n\n".join("\n".join(map(" ".join, zip(*row, strict=True))) for row in tagged(200)) + "\n")
    return path


@pytest.fixture(scope="module")
def entities_model(tmp_path_factory, tiny_model, conll):
    from bothways.training import train

    directory = tmp_path_factory.mktemp("ner-out") / "entities"
    train(conll, directory, model=tiny_model, task="ner", epochs=10, learning_rate=3e-3)
    return directory


def test_entities_are_learned_judged_and_found(entities_model, conll, command, tmp_path):
    manifest = json.loads((entities_model / "bothways.json").read_text())
    assert manifest["task"] == "token-classification" and manifest["kind"] == "entities"
    assert manifest["labels"] == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert manifest["metrics"]["f1"] > 0.9 and set(manifest["metrics"]["per_type"]) == {"LOC", "PER"}
    assert manifest["metrics"]["seen"]["support"] > 0 and "strict" in manifest["metrics"]
    assert [row["name"] for row in manifest["comparison"]["rows"]][:2] == ["no entities", "list of training entities"]
    assert "entity F1" in (entities_model / "report.html").read_text()
    reference = transformers.AutoModelForTokenClassification.from_pretrained(entities_model)
    assert reference.config.id2label[1] == "B-LOC"

    scores = tmp_path / "scores.json"
    code, out, _ = command("evaluate", entities_model, conll, "-o", scores, "--precision", "float32")
    assert code == 0 and "entity F1" in out and "LOC" in out and "sentences" in out
    assert json.loads(scores.read_text())["metrics"]["f1"] > 0.9

    text = " ".join(tagged(1, seed=9)[0][0]) + f" {NAMES['PER']} {WORDS[3]}"
    (tmp_path / "texts.txt").write_text(f"{text}\n{text} {' '.join(WORDS * 20)}\n")
    code, out, err = command("predict", entities_model, tmp_path / "texts.txt", "--precision", "float32")
    first, second = json_lines(out)
    assert code == 0 and "1 of 2 inputs were windowed." in err and second["n_windows"] > 1
    assert {"entity_group": "PER", "word": NAMES["PER"]}.items() <= first["entities"][-1].items()
    for entity in first["entities"]:
        assert text[entity["start"] : entity["end"]] == NAMES[entity["entity_group"]]


def test_answers_are_learned_judged_and_found(tiny_model, command, tmp_path):
    data = tmp_path / "questions.json"
    data.write_text(json.dumps(questions(150, impossible=True)))
    out_dir = tmp_path / "answers"
    words = ("--task", "question-answering", "--model", tiny_model, "--epochs", 25, "--learning-rate", "3e-3")
    code, out, err = command("train", data, "-o", out_dir, *words)
    assert code == 0, err
    manifest = json.loads((out_dir / "bothways.json").read_text())
    assert manifest["kind"] == "answers" and "answer F1" in out
    assert manifest["metrics"]["f1"] > manifest["comparison"]["rows"][1]["scores"][0]["interval"]["estimate"] * 100
    config = json.loads((out_dir / "config.json").read_text())
    assert isinstance(config["null_threshold"], float)

    code, out, _ = command("evaluate", out_dir, data, "--precision", "float32")
    assert code == 0 and "exact match" in out and "150 questions" in out
    code, out, _ = command("predict", out_dir, data, "--precision", "float32")
    lines = json_lines(out)
    assert code == 0 and [line["id"] for line in lines[:3]] == ["q0", "q1", "q2"] and len(lines) == 150
    contexts = [paragraph["context"] for paragraph in questions(150, impossible=True)["data"][0]["paragraphs"]]
    for line, context in zip(lines, contexts, strict=True):
        assert context[line["start"] : line["end"]] == line["answer"] and 0 <= line["score"] <= 1
    assert 0 < sum(not line["answer"] for line in lines) < 150


def test_choices_and_next_sentences(tiny_model, command, tmp_path):
    generator = random.Random(0)
    rows, pairs = [], []
    for number in range(120):
        word, other = generator.sample(WORDS[:6], 2)
        right = number % 2
        rows.append({"question": word, "choices": [other, word] if right else [word, other], "label": right})
        pairs.append({"first": word, "second": word if right else other, "label": "IsNext" if right else "NotNext"})
    for name, content in (("choices", rows), ("pairs", pairs)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    learn = ("--model", tiny_model, "--epochs", 3, "--learning-rate", "1e-3")
    choices, pairs_file = tmp_path / "choices.jsonl", tmp_path / "pairs.jsonl"
    code, out, err = command("train", choices, "-o", tmp_path / "c", "--task", "multiple-choice", *learn)
    assert code == 0 and "106 questions to train on, 14 held out, 2 labels" in err  # equal texts on one side
    code, out, _ = command("evaluate", tmp_path / "c", choices)
    assert code == 0 and "120 questions" in out
    code, out, _ = command("predict", tmp_path / "c", choices)
    lines = json_lines(out)
    assert code == 0 and len(lines) == 120
    for line, row in zip(lines, rows, strict=True):
        assert line["answer"] == row["choices"][line["choice"]] and sum(line["scores"]) == pytest.approx(1)

    task = ("--task", "next-sentence-prediction", "--text-column", "first,second")
    code, out, err = command("train", pairs_file, "-o", tmp_path / "n", *task, *learn)
    assert code == 0, err
    config = json.loads((tmp_path / "n" / "config.json").read_text())
    assert config["id2label"] == {"0": "IsNext", "1": "NotNext"}
    code, out, _ = command("predict", tmp_path / "n", pairs_file, "--text-column", "first,second")
    found = [line["label"] for line in json_lines(out)]
    assert code == 0 and set(found) <= {"IsNext", "NotNext"}

    # the outputs mean the same when the configuration, as in published models, or the data has other names for them
    accuracy = sum(label == pair["label"] for label, pair in zip(found, pairs, strict=True)) / len(pairs)
    (tmp_path / "n" / "config.json").write_text(json.dumps({k: v for k, v in config.items() if "label" not in k}))
    numbered = [pair | {"label": int(pair["label"] == "NotNext")} for pair in pairs]
    (tmp_path / "numbers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in numbered))
    for file in (pairs_file, tmp_path / "numbers.jsonl"):
        words = ("evaluate", tmp_path / "n", file, *task, "--output", tmp_path / "scores.json")
        code, _, err = command(*words)
        assert code == 0, err
        assert json.loads((tmp_path / "scores.json").read_text())["metrics"]["accuracy"] == pytest.approx(accuracy)


def test_zero_shot_on_a_trained_classifier(trained, command, tmp_path):
    from bothways import pipeline

    (tmp_path / "t.txt").write_text("a b\nthe book\n")
    zero = ("--task", "zero-shot-classification")
    words = ("predict", trained, tmp_path / "t.txt", *zero, "--precision", "float32")
    code, out, _ = command(*words, "--labels", "book, room")
    pipe = pipeline("zero-shot-classification", model=trained)
    for line, text in zip(json_lines(out), ["a b", "the book"], strict=True):
        expected = pipe(text, candidate_labels=["book", "room"])
        assert [label["label"] for label in line["labels"]] == expected["labels"]
        assert [label["score"] for label in line["labels"]] == pytest.approx(expected["scores"], abs=1e-5)
    for extra, message in (
        ((), "zero-shot-classification needs --labels"),
        (("--labels", "a", "--template", "no place"), "--template is 'no place'; expected a sentence with {}"),
        (("--labels", "a", "--template", "{} of {label}"), "--template is '{} of {label}'; expected"),
        (("--labels", "a", "--aggregation", "max"), "--aggregation is not for zero-shot-classification"),
    ):
        code, out, err = command(*words, *extra)
        assert code in (1, 2) and message in err and "Traceback" not in err and not out


def test_data_and_options_that_do_not_fit_a_task(tiny_model, entities_model, conll, command, tmp_path):
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"a": "x y", "b": "z", "label": "maybe"}) + "\n")
    (tmp_path / "other.conll").write_text("Ada B-GOD\nsang O\n")
    for words, message in (
        (("train", conll, "--task", "nerr"), "unknown task 'nerr'. Known tasks: text-classification"),
        (("train", conll, "--task", "ner", "--kind", "single"), "--kind is for text classification"),
        (("train", conll, "--task", "question-answering"), "conll"),
        (("train", conll, "--task", "ner", "--eval", tmp_path / "other.conll"), "types that the model does not know"),
    ):
        code, out, err = command(*words, "-o", tmp_path / "out", "--model", tiny_model)
        assert code in (1, 2) and message in err and "Traceback" not in err, err
        assert not (tmp_path / "out").exists()
    code, _, err = command("evaluate", entities_model, tmp_path / "other.conll")
    assert code in (1, 2) and "'GOD' (1). Known types (2): 'LOC', 'PER'." in err
    for extra, message in (
        (("--task", "question-answering"), "weights for the question-answering head"),
        (("--task", "question-answering", "--top-k", 0), "--top-k 0 asks for all answers"),
        (("--aggregation", "frist"), "--aggregation is 'frist'; expected one of none, simple, first, average, max."),
    ):
        code, out, err = command("predict", entities_model, tmp_path / "other.conll", *extra)
        assert code in (1, 2) and message in err and "Traceback" not in err and not out, err


def test_gaps_are_filled_from_the_command_line(tiny_model, command, tmp_path):
    from bothways import BertConfig, BertForMaskedLM, BertTokenizerFast

    model = BertForMaskedLM(BertConfig.from_pretrained(tiny_model))
    model.save_pretrained(tmp_path / "filler")
    BertTokenizerFast.from_pretrained(tiny_model).save_pretrained(tmp_path / "filler")
    (tmp_path / "gaps.txt").write_text(f"the [MASK] was good\n[MASK] and [MASK] {' '.join(WORDS * 3)}\n")
    code, out, err = command("predict", tmp_path / "filler", tmp_path / "gaps.txt", "--top-k", 2)
    one, two = json_lines(out)
    assert code == 0 and [len(one["candidates"]), *map(len, two["candidates"])] == [2, 2, 2]
    assert one["candidates"][0].keys() == {"score", "token", "token_str", "sequence"}
    assert two["n_windows"] > 1 and "1 of 2 inputs were windowed." in err
    (tmp_path / "none.txt").write_text("a [MASK]\nno gap\n")
    code, out, err = command("predict", tmp_path / "filler", tmp_path / "none.txt")
    assert code == 1 and "none.txt: row 2 has no mask token ([MASK])" in " ".join(err.split())
    code, out, err = command("predict", tmp_path / "filler", "no gap")
    assert code == 1 and "error: row 1 has no mask token" in err and not out


def test_choices_from_standard_input(tiny_model, command, tmp_path, monkeypatch):
    import io
    import sys
    from types import SimpleNamespace

    from bothways import BertConfig, BertForMultipleChoice, BertTokenizerFast

    BertForMultipleChoice(BertConfig.from_pretrained(tiny_model)).save_pretrained(tmp_path / "chooser")
    BertTokenizerFast.from_pretrained(tiny_model).save_pretrained(tmp_path / "chooser")
    rows = [{"question": "the film was", "choices": ["good", "bad"]}, {"question": "very", "choices": ["a", "b", "c"]}]
    for text in (json.dumps(rows), "".join(json.dumps(row) + "\n" for row in rows)):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
        code, out, err = command("predict", tmp_path / "chooser", "-")
        assert code == 0 and [len(line["scores"]) for line in json_lines(out)] == [2, 3], err
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"question": "very"}')))
    code, _, err = command("predict", tmp_path / "chooser", "-")
    assert code == 1 and "standard input, line 1: no choices. Columns: question." in err
