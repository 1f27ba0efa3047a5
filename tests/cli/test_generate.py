"""``bothways generate``: one prompt, a file, what is refused; and ``predict`` with models that write."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tests.conftest import json_lines
from tests.pipelines.writers import make_gpt2, make_t5


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return make_gpt2(tmp_path_factory.mktemp("cli-writers") / "gpt2")


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    params = {"summarization": {"prefix": "sum: "}, "translation_en_to_de": {"prefix": "to German: "}}
    return make_t5(tmp_path_factory.mktemp("cli-writers") / "t5", task_specific_params=params, max_length=12)


def expected(model, text, **how):
    from bothways import pipeline

    return pipeline("text-generation", model=str(model), return_full_text=False)(text, **how)


def test_a_prompt_is_continued(gpt2, command):
    greedy = {"max_new_tokens": 8, "do_sample": False}
    code, out, err = command("generate", gpt2, "The keeper", "--max-new-tokens", 8, "--temperature", 0)
    assert (code, out) == (0, expected(gpt2, "The keeper", **greedy)[0]["generated_text"] + "\n")
    assert "seed" not in err
    words = ["--max-new-tokens", 8, "--beams", 2, "-n", 2]
    code, out, _ = command("generate", gpt2, "The keeper", *words)
    records = expected(gpt2, "The keeper", num_beams=2, num_return_sequences=2, **greedy)
    assert (code, out) == (0, "\n---\n".join(record["generated_text"] for record in records) + "\n")


def test_draws_follow_from_a_seed_that_is_said(gpt2, command):
    words = ["generate", gpt2, "The keeper", "--max-new-tokens", 8, "--top-p", 0.9]
    code, first, err = command(*words)
    assert code == 0 and err.startswith("seed ")
    seed = err.split()[1]
    code, again, err = command(*words, "--seed", seed)
    assert (code, again) == (0, first) and "seed" not in err


def test_standard_input_and_output_files(gpt2, command, monkeypatch, tmp_path):
    class Stdin:
        buffer = io.BytesIO(b"The keeper\n")

        def isatty(self):
            return False

    monkeypatch.setattr(sys, "stdin", Stdin())
    out = tmp_path / "text.txt"
    code, shown, _ = command("generate", gpt2, "-", "--max-new-tokens", 8, "--temperature", 0, "-o", out)
    assert (code, shown) == (0, "")
    greedy = expected(gpt2, "The keeper", max_new_tokens=8, do_sample=False)
    assert out.read_text(encoding="utf-8") == greedy[0]["generated_text"] + "\n"


def test_a_file_of_prompts(gpt2, command, tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("The keeper\na dog\n", encoding="utf-8")
    words = ["generate", gpt2, "--file", file, "--max-new-tokens", 5, "--seed", 3]
    code, out, err = command(*words)
    lines = json_lines(out)
    assert code == 0 and [line["row"] for line in lines] == [1, 2]
    assert lines[1]["generated_text"] == expected(gpt2, "a dog", max_new_tokens=5, seed=3)[0]["generated_text"]
    assert "2 of 2 texts stop at the greatest length" in err
    code, out, _ = command(*words, "-n", 2)
    assert [len(line["texts"]) for line in json_lines(out)] == [2, 2]


def test_summaries_and_translations(t5, command, tmp_path):
    from bothways import pipeline

    text = "The keeper was born. He writes it! Is it good? " * 4
    code, out, err = command("generate", t5, text, "--task", "summarization", "--max-new-tokens", 5)
    summary = pipeline("summarization", model=str(t5), max_new_tokens=5)(text)[0]["summary_text"]
    assert (code, out) == (0, summary + "\n")
    assert "1 of 1 inputs were windowed" in err
    file = tmp_path / "texts.txt"
    file.write_text("a dog\n" + text + "\n", encoding="utf-8")
    code, out, _ = command("predict", t5, file, "--task", "translation_en_to_de")
    lines = json_lines(out)
    assert code == 0 and [line["n_windows"] > 1 for line in lines] == [False, True]
    assert lines[0]["translation_text"] == pipeline("translation", model=str(t5))("a dog")[0]["translation_text"]


def test_predict_with_a_model_that_continues(gpt2, command, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("a dog\n", encoding="utf-8")
    code, out, _ = command("predict", gpt2, file)
    assert code == 0 and json.loads(out)["generated_text"].startswith("a dog")
    file.write_text("a dog and a cat " * 40 + "\n", encoding="utf-8")
    code, _, err = command("predict", gpt2, file)
    assert code == 1 and "the model has 48 positions" in err
    code, out, _ = command("predict", gpt2, file, "--long-input", "truncate")
    assert code == 0 and json.loads(out)["truncated"] is True


def test_wrong_use(gpt2, t5, tiny_model, command, tmp_path):
    def refused(*words, message, code=2):
        found, _, err = command("generate", *words)
        assert found == code and message in err and err.startswith("error: "), err

    refused(gpt2, "x", "--max-new-tokens", 0, message="max_new_tokens is 0, expected a whole number at least 1")
    refused(gpt2, "x", "--temperature", -1, message="temperature is -1")
    refused(gpt2, "x", "--top-p", 1.5, message="top_p is 1.5")
    refused(gpt2, "x", "--temperature", 0, "--top-k", 3, message="drop --top-k")
    refused(gpt2, "x", "--beams", 2, "-n", 3, message="num_return_sequences (3) is above num_beams (2)")
    refused(gpt2, "x", "--seed", -3, message="seed is -3")
    refused(gpt2, "x", "--file", "y", message="a PROMPT and --file")
    refused(gpt2, "x", "--format", "csv", message="are for --file")
    refused(gpt2, "--file", tmp_path / "none.txt", message="none.txt")
    refused(gpt2, "x", "--task", "ner", message="--task ner writes no text")
    refused(gpt2, "x", "--task", "summarisation", message="Did you mean 'summarization'")
    refused(gpt2, "x", "--to", "de", message="--from and --to are for translation")
    refused(gpt2, "x", "--long-input", "cut", message="--long-input is 'cut'")
    refused(tiny_model, "x", message="writes no text")
    refused(gpt2, "x", "--task", "summarization", message="no weights for the seq2seq-lm head", code=1)
    refused(gpt2, "x", "--max-new-tokens", 99, "--temperature", 0, message="the model has 48 positions", code=1)
    refused(tmp_path / "nothing", "x", message="nothing")
