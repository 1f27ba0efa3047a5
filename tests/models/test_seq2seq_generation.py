"""What encoder-decoder models write: the reference's ids for sources of several lengths, greedily and with beams."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import bothways
from bothways import BartConfig, BartForSequenceClassification, BartTokenizerFast, pipeline
from tests.models.reference import TINY
from tests.models.test_seq2seq_parity import VARIANTS, pair

MODES = {
    "greedy": {},
    "beams": {"num_beams": 4},
    "several": {"num_beams": 4, "num_return_sequences": 3, "length_penalty": 2.0, "early_stopping": True},
    "no phrase twice": {"num_beams": 4, "no_repeat_ngram_size": 2},
    "penalty": {"repetition_penalty": 1.4},
    "each word once": {"no_repeat_ngram_size": 1},
    "each word once, beams": {"no_repeat_ngram_size": 1, "num_beams": 4},
}


def sources(pad: int) -> dict[str, torch.Tensor]:
    """Ids of five rows with 11, 4, 1, 8 and 6 tokens, padded at the right."""
    lengths = torch.tensor([11, 4, 1, 8, 6])[:, None]
    ids = torch.randint(5, 97, (5, 11), generator=torch.Generator().manual_seed(11))
    mask = torch.arange(11) < lengths
    return {"input_ids": ids.masked_fill(~mask, pad), "attention_mask": mask.long()}


def lively(name: str, seed: int = 0):
    """(reference, ours) whose next word depends on the source and on the words before."""
    theirs, ours = pair(name, "seq2seq-lm", seed)
    if not name.startswith("t5"):
        theirs.final_logits_bias.mul_(0.2)
        for parameter_name, parameter in theirs.named_parameters():
            if parameter.requires_grad:
                spread = 4.0 if "embed_positions" in parameter_name else 0.4
                parameter.data.add_(torch.randn_like(parameter) * spread)
        ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def same_ids(theirs, ours, pad: int, **settings) -> torch.Tensor:
    inputs = sources(pad)
    expected = theirs.generate(**inputs, **settings)
    got = ours.generate(**inputs, **settings)
    ends = settings.get("eos_token_id", ours.config.eos_token_id)
    ends = ends if isinstance(ends, list) else [ends]
    assert [up_to_the_end(row, ends) for row in got] == [up_to_the_end(row, ends) for row in expected]
    assert got.shape == expected.shape
    return got


def up_to_the_end(row: torch.Tensor, ends: list[int]) -> list[int]:
    """Without what follows the end: where padding is token 0, the reference fills rows of beams with end tokens."""
    words = row.tolist()
    stop = next((i for i, word in enumerate(words) if i and word in ends), len(words))
    return words[: stop + 1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", VARIANTS)
def test_ids(name, seed, mode):
    theirs, ours = lively(name, seed)
    written = same_ids(theirs, ours, ours.config.pad_token_id, max_new_tokens=12, min_new_tokens=8, **MODES[mode])
    if MODES[mode].get("no_repeat_ngram_size") == 1:  # tiny models like to say one word again and again
        assert len(set(written.flatten().tolist())) > 7


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("name", VARIANTS)
def test_ends_of_rows(name, num_beams):
    """Words that these models like to write end the rows, at different places."""
    theirs, ours = lively(name)
    pad = ours.config.pad_token_id
    free = ours.generate(**sources(pad), max_new_tokens=12, eos_token_id=95, forced_eos_token_id=None)
    ends = sorted({int(row[3]) for row in free} | {int(row[7]) for row in free})
    same_ids(theirs, ours, pad, max_new_tokens=12, num_beams=num_beams, eos_token_id=ends, forced_eos_token_id=None)


@pytest.mark.parametrize("num_beams", [1, 4])
def test_the_language_that_is_asked_for(num_beams):
    theirs, ours = lively("mbart")
    for language in (90, 91):
        settings = {"max_new_tokens": 9, "num_beams": num_beams, "forced_bos_token_id": language}
        written = same_ids(theirs, ours, 1, decoder_start_token_id=2, **settings)
        assert written[:, :2].tolist() == [[2, language]] * 5
    alone = ours.generate(sources(1)["input_ids"][1:2, :4], decoder_start_token_id=2, **settings)
    assert alone[0].tolist() == written[1, : alone.shape[1]].tolist()


def test_a_target_that_goes_on():
    for name in ("bart", "t5", "pegasus", "marian"):
        theirs, ours = lively(name)
        begun = torch.full((5, 4), 7)
        begun[:, 0] = ours.config.decoder_start_token_id
        begun[:, 2] = torch.arange(20, 25)
        for num_beams in (1, 4):
            same_ids(
                theirs, ours, ours.config.pad_token_id, decoder_input_ids=begun, max_new_tokens=6, num_beams=num_beams
            )


def test_saved_settings_are_those_of_the_reference(tmp_path):
    for name in ("bart", "mbart", "pegasus", "marian"):
        theirs, ours = lively(name)
        ours.save_pretrained(tmp_path / name)
        back = type(theirs).from_pretrained(tmp_path / name).eval()
        inputs = sources(ours.config.pad_token_id)
        assert back.generate(**inputs, max_new_tokens=9).tolist() == ours.generate(**inputs, max_new_tokens=9).tolist()
        assert back.generation_config.forced_eos_token_id == ours.config.forced_eos_token_id


LABELS = ["contradiction", "neutral", "entailment"]


def test_zero_shot_with_bart(tmp_path):
    transformers = pytest.importorskip("transformers")
    directory = bart_for_inference(tmp_path)
    ours, theirs = (
        library.pipeline("zero-shot-classification", model=directory, device=-1) for library in (bothways, transformers)
    )
    texts = ["The bread is fresh.", "A letter to the keeper of the lighthouse, who never wrote back, and why."]
    for options in ({}, {"multi_label": True}, {"hypothesis_template": "It says {}."}):
        got = ours(texts, candidate_labels=["food", "the sea", "post"], **options)
        expected = theirs(texts, candidate_labels=["food", "the sea", "post"], **options)
        for g, e in zip(got, expected, strict=True):
            assert g["labels"] == e["labels"] and g["sequence"] == e["sequence"]
            assert g["scores"] == pytest.approx(e["scores"], abs=1e-5)
    classify = pipeline("text-classification", model=directory, device=-1)
    reference = transformers.pipeline("text-classification", model=directory, device=-1)
    for g, e in zip(classify(texts), reference(texts), strict=True):
        assert g["label"] == e["label"] and g["score"] == pytest.approx(e["score"], abs=1e-5)


def bart_for_inference(directory: Path) -> str:
    """A tiny model with the three labels of inference, beside a tokeniser of bytes."""
    files = Path(__file__).parents[1] / "tokenizers" / "vocabularies"
    tokenizer = BartTokenizerFast(str(files / "vocab.json"), str(files / "merges.txt"))
    tokenizer.save_pretrained(directory)
    torch.manual_seed(0)
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    sizes = {**TINY["bart"], **special, "vocab_size": len(tokenizer), "max_position_embeddings": 80}
    del sizes["num_labels"]
    model = BartForSequenceClassification(BartConfig(**sizes, id2label=dict(enumerate(LABELS))))
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(directory)
    return str(directory)
