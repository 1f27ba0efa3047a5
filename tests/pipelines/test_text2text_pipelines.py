"""Text to text, summaries and translations: shapes, long texts in pieces, languages; equal to the reference."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from bothways import pipeline
from bothways.pipelines.registry import UnknownTaskError, find_pipeline
from bothways.tasks.sentences import split_sentences
from tests.pipelines.writers import POSITIONS, make_bart, make_t5

PARAMS = {
    "summarization": {"prefix": "sum: ", "num_beams": 2, "min_length": 4},
    "translation_en_to_de": {"prefix": "to German: "},
    "translation_en_to_fr": {"prefix": "to French: "},
}
SENTENCES = ["The keeper was born.", "He writes it!", "Is it good?", "A dog, a cat and an apple."]
LONG = " ".join(SENTENCES * 4)
SHORT = {"max_new_tokens": 6}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("writers")
    make_t5(root / "t5", task_specific_params=PARAMS)
    make_bart(root / "bart")
    return root


@pytest.fixture(scope="module")
def make(root):
    return lambda task, name="t5", **options: pipeline(task, model=str(root / name), **options)


def test_shapes(make):
    pipe = make("text2text-generation", **SHORT)
    assert isinstance(pipe("a dog"), list) and list(pipe("a dog")[0]) == ["generated_text"]
    assert [list(record) for record in pipe(["a dog", "a cat"])] == [["generated_text"]] * 2
    assert [len(records) for records in pipe(["a dog", "a cat"], num_return_sequences=2)] == [2, 2]
    assert len(pipe("a dog", num_return_sequences=3)) == 3
    assert [len(records) for records in pipe(iter(["a dog", "a cat"]))] == [1, 1]
    assert pipe([]) == []
    (record,) = pipe("a dog", return_tensors=True)
    assert list(record) == ["generated_token_ids"] and isinstance(record["generated_token_ids"], torch.Tensor)
    assert list(make("summarization", **SHORT)("a dog")[0]) == ["summary_text"]
    assert list(make("translation_en_to_de", **SHORT)("a dog")[0]) == ["translation_text"]


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_both_halves_compute_in_bfloat16(make, name):
    """What the encoder gives is fp32, and the decoder reads it in blocks of bfloat16."""
    pipe = make("text2text-generation", name, device=-1, dtype="bfloat16", **SHORT)
    assert pipe.dtype is torch.bfloat16
    (record,) = pipe("a dog")
    assert isinstance(record["generated_text"], str)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("text2text-generation", "t5"),
        ("text2text-generation", "bart"),
        ("summarization", "t5"),
        ("summarization", "bart"),
        ("translation_en_to_fr", "t5"),
    ],
)
@pytest.mark.parametrize("how", [{}, {"num_beams": 1, "do_sample": True, "seed": 4}, {"num_return_sequences": 2}])
def test_a_list_gives_what_its_texts_give_alone(make, task, name, how):
    pipe = make(task, name, **SHORT)
    texts = ["a dog", "The keeper was born.", "a dog", "x"]
    if task != "text2text-generation":
        texts += [LONG, LONG + " " + LONG]
    together = pipe(texts, details=True, **how)
    alone = [pipe(text, details=True, **how) for text in texts]
    assert together == (alone if "num_return_sequences" in how else [records[0] for records in alone])
    for text, records in zip(texts, alone, strict=True):
        assert (records[0]["n_windows"] > 1) == (len(text) > 100)
        assert not records[0]["truncated"]


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_every_sentence_of_a_long_text_is_summarised(make, name):
    pipe = make("summarization", name, **SHORT)
    seen = []
    encode = pipe.encode
    pipe.encode = lambda texts, options: seen.append(list(texts)) or encode(texts, options)
    (record,) = pipe(LONG, details=True)
    _, room, first_round, *rounds = seen
    assert room == [""]
    assert "".join("".join(first_round).split()) == "".join(LONG.split())
    assert all(split_sentences(window).sentences[0] in SENTENCES for window in first_round)
    assert record["n_windows"] == len(first_round) > 1 and len(rounds) >= 1
    assert all(len(row) <= POSITIONS for windows in seen[1:] for row in encode(windows, pipe.options))


def test_how_much_is_read_at_once(make):
    pipe = make("summarization", **SHORT)
    whole = pipe(LONG, max_source_length=1000, details=True)[0]
    assert whole["n_windows"] == 1 and whole["n_tokens"] > POSITIONS  # T5 reads texts of any length
    assert pipe(LONG, max_source_length=30, details=True)[0]["n_windows"] > pipe(LONG, details=True)[0]["n_windows"]


def test_candidates_and_ids_of_a_long_text(make):
    pipe = make("summarization", **SHORT)
    best = pipe(LONG)[0]["summary_text"]
    candidates = pipe(LONG, num_beams=2, num_return_sequences=2)
    assert len(candidates) == 2 and candidates[0]["summary_text"] == best
    (record,) = pipe(LONG, return_tensors=True)
    assert pipe.tokenizer.decode(record["summary_token_ids"], skip_special_tokens=True).strip() == best


def test_what_stands_between_sentences_stays(make):
    pipe = make("translation_en_to_de", **SHORT)
    text = "  The keeper was born.\n\nHe writes it!\tIs it good?\n"
    (whole,) = pipe(text, details=True)
    assert whole["n_windows"] == 1
    (record,) = pipe(text, by_sentence=True, details=True)
    parts = [pipe(sentence)[0]["translation_text"].strip() for sentence in SENTENCES[:3]]
    assert record["translation_text"] == f"  {parts[0]}\n\n{parts[1]}\t{parts[2]}\n"
    assert record["n_windows"] == 3
    pairs = pipe(text, by_sentence=True, num_beams=2, num_return_sequences=2)
    assert pairs[0]["translation_text"] == pipe(text, by_sentence=True, num_beams=2)[0]["translation_text"]
    assert len(pairs) == 2


def test_long_texts_are_translated_by_sentences(make):
    pipe = make("translation_en_to_de", **SHORT)
    (record,) = pipe(LONG, details=True)
    assert record["n_windows"] == 16 and not record["truncated"]
    alone = [pipe(sentence)[0]["translation_text"].strip() for sentence in SENTENCES]
    assert record["translation_text"].split() == " ".join(alone * 4).split()


def test_a_sentence_that_is_too_long_is_divided_too(make):
    pipe = make("translation_en_to_de", **SHORT)
    (record,) = pipe("a dog, " * 60 + "it ends. It is good.", details=True)
    assert record["n_windows"] > 4 and not record["truncated"]


def test_a_translation_that_would_be_cut_is_made_by_sentences(make):
    text = " ".join(SENTENCES[:2])
    count = make("translation_en_to_de")(text, max_source_length=99, details=True, num_beams=1)[0]["n_tokens"]
    pipe = make("translation_en_to_de")
    pipe.generation_config.max_new_tokens = count // 2  # of the files, not of the caller
    assert pipe(text, details=True, num_beams=1)[0]["n_windows"] == 2
    assert pipe(text, details=True, num_beams=1, max_new_tokens=5)[0]["n_windows"] == 1


def test_long_texts_otherwise(make):
    pipe = make("text2text-generation", "bart", **SHORT)
    count = len(pipe.tokenizer(LONG)["input_ids"])
    with pytest.raises(ValueError, match=rf"input 1 has {count} tokens, but the model reads {POSITIONS}"):
        pipe(["x", LONG])
    with pytest.raises(ValueError, match="cannot join what is written about several windows"):
        pipe("x", long_input="window")
    (record,) = pipe(LONG, long_input="truncate", details=True)
    assert record["truncated"] and record["n_tokens"] == count
    ids = pipe.tokenizer(LONG)["input_ids"]
    assert pipe.shortened(ids, 10) == [*ids[:9], pipe.tokenizer.eos_token_id]
    assert pipe(LONG, truncation=True) == pipe(LONG, long_input="truncate")
    with pytest.raises(ValueError, match=r"long_input='window' or 'truncate'"):
        make("summarization", "bart")(LONG, long_input="error")


def test_names_of_translation_tasks(make):
    assert find_pipeline("translation_en_to_de")[0] == "translation_en_to_de"
    for name in ("translation_en_de", "translation_en_to_", "translation_en_to_de_at"):
        with pytest.raises(UnknownTaskError, match="translation_XX_to_YY"):
            find_pipeline(name)
    assert make("translation").task == "translation_en_to_de"  # the first that the checkpoint has
    french = make("translation", src_lang="en", tgt_lang="fr", **SHORT)
    assert french("a dog") == make("translation_en_to_fr", **SHORT)("a dog")


def test_languages_as_tokens(tmp_path):
    from bothways import MBartConfig, MBartForConditionalGeneration

    sys.path.insert(0, str(Path(__file__).parents[1] / "tokenizers"))
    from writing_kinds import build_writing

    tokenizer = build_writing("mbart")
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": POSITIONS}
    sizes |= {f"{side}_attention_heads": 2 for side in ("encoder", "decoder")}
    sizes |= {f"{side}_ffn_dim": 16 for side in ("encoder", "decoder")}
    model = MBartForConditionalGeneration(MBartConfig(vocab_size=len(tokenizer), **sizes))
    pipe = pipeline("translation", model=model, tokenizer=tokenizer, max_new_tokens=4)
    (record,) = pipe("a dog", src_lang="en_XX", tgt_lang="ro_RO", return_tensors=True)
    assert record["translation_token_ids"][1] == tokenizer.convert_tokens_to_ids("ro_RO")
    together = pipe(["a dog", "The cat is good."], src_lang="en_XX", tgt_lang="fr_XX")
    assert together[0] == pipe("a dog", src_lang="en_XX", tgt_lang="fr_XX")[0]
    with pytest.raises(ValueError, match="needs both languages"):
        pipe("a dog")
    with pytest.raises(ValueError, match="unknown tgt_lang 'xx_XX'"):
        pipe("a dog", src_lang="en_XX", tgt_lang="xx_XX")
    with pytest.raises(ValueError, match="src_lang is 3"):
        pipe("a dog", src_lang=3, tgt_lang="ro_RO")


def test_what_a_caller_asks_for_replaces_beams(make):
    from bothways import TextIteratorStreamer

    pipe = make("text2text-generation", **SHORT)
    assert pipe.generation_config.num_beams == 4
    streamer = TextIteratorStreamer(pipe.tokenizer, skip_prompt=True, skip_special_tokens=True)
    (record,) = pipe("a dog", streamer=streamer)
    assert "".join(streamer) == record["generated_text"]


@pytest.mark.parametrize(
    "how",
    [
        SHORT,
        SHORT | {"num_beams": 1},
        SHORT | {"num_return_sequences": 2},
        SHORT | {"min_length": 3, "num_beams": 2, "no_repeat_ngram_size": 2, "clean_up_tokenization_spaces": True},
        {"max_new_tokens": 20, "min_new_tokens": 3, "repetition_penalty": 1.5},
    ],
)
@pytest.mark.parametrize(
    ("task", "name"), [("text2text-generation", "bart"), ("summarization", "t5"), ("translation_en_to_de", "t5")]
)
def test_equal_to_the_reference(root, task, name, how):
    transformers = pytest.importorskip("transformers")
    transformers.logging.set_verbosity_error()
    theirs = transformers.pipeline(task, model=str(root / name), device=-1)
    ours = pipeline(task, model=str(root / name), device=-1)
    for inputs in ("The keeper was born.", ["a dog", "Is it good?"], ["a dog"]):
        assert ours(inputs, **how) == theirs(inputs, **how)
