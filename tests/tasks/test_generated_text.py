"""Records of written ids, equal to those of the reference's pipelines."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from bothways import PreTrainedTokenizerFast
from bothways.errors import InputError
from bothways.tasks.generated_text import (
    continuation_records,
    continuation_type,
    flat_if_single,
    record_name,
    written_records,
)


@pytest.fixture(scope="module")
def engine() -> Tokenizer:
    """Every byte is a token, and there are two special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    engine = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    return engine


@pytest.fixture(scope="module")
def tokenizer(engine):
    return PreTrainedTokenizerFast(tokenizer_object=engine, eos_token="</s>", pad_token="<pad>")


@pytest.fixture(scope="module")
def reference(engine):
    transformers = pytest.importorskip("transformers")
    own = transformers.PreTrainedTokenizerFast(tokenizer_object=engine, eos_token="</s>", pad_token="<pad>")
    return SimpleNamespace(tokenizer=own, framework="pt", return_name="summary")


CHAT = [{"role": "user", "content": "Hi"}]
PREFILLED = [*CHAT, {"role": "assistant", "content": "Oh "}]


@pytest.mark.parametrize("prompt", ["Well , I", "", CHAT, PREFILLED])
@pytest.mark.parametrize("return_type", ["full_text", "new_text", "tensors"])
@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("skip", [True, False])
def test_continuations_are_those_of_the_reference(tokenizer, reference, prompt, return_type, clean, skip):
    import torch
    from transformers.pipelines.text_generation import Chat, ReturnType, TextGenerationPipeline

    text = prompt if isinstance(prompt, str) else "<user> Hi"
    ids = tokenizer.encode(text) if text else []
    rows = [[*ids, *tokenizer.encode(new), tokenizer.eos_token_id] for new in (" do n't know .", ", no !")]
    rows[1] += [tokenizer.pad_token_id] * (len(rows[0]) - len(rows[1]))
    outputs = {
        "generated_sequence": torch.tensor([rows]),
        "input_ids": torch.tensor([ids]) if ids else None,
        "prompt_text": prompt if isinstance(prompt, str) else Chat(prompt),
        "additional_outputs": {"sequences_scores": torch.tensor([0.5, 0.25])},
    }
    expected = TextGenerationPipeline.postprocess(
        reference,
        outputs,
        return_type=ReturnType[return_type.upper()],
        clean_up_tokenization_spaces=clean,
        skip_special_tokens=skip,
    )
    found = continuation_records(
        tokenizer,
        torch.tensor(rows),
        prompt=prompt,
        prompt_ids=torch.tensor(ids) if ids else None,
        return_type=return_type,
        clean_up_tokenization_spaces=clean,
        skip_special_tokens=skip,
        further={"sequences_scores": [0.5, 0.25]},
    )
    assert found == expected
    again = continuation_records(tokenizer, rows, prompt=prompt, prompt_ids=ids or None, return_type="tensors")
    assert again == [{"generated_token_ids": row} for row in rows]


def test_a_chat_is_not_changed_and_says_where_the_answer_goes(tokenizer):
    ids = tokenizer.encode("x")
    new = continuation_records(tokenizer, [tokenizer.encode("yes")], prompt=PREFILLED)[0]["generated_text"]
    assert new == [*CHAT, {"role": "assistant", "content": "Oh yes"}]
    other = continuation_records(
        tokenizer, [[*ids, *tokenizer.encode("no")]], prompt=PREFILLED, prompt_ids=ids, continue_final_message=False
    )
    assert other[0]["generated_text"] == [*PREFILLED, {"role": "assistant", "content": "no"}]
    assert PREFILLED[-1]["content"] == "Oh "


@pytest.mark.parametrize("clean", [True, False])
def test_written_texts_are_those_of_the_reference(tokenizer, reference, clean):
    import torch
    from transformers.pipelines.text2text_generation import ReturnType, Text2TextGenerationPipeline

    rows = torch.tensor([[tokenizer.pad_token_id, *tokenizer.encode("A b ."), tokenizer.eos_token_id]])
    for kind in (ReturnType.TEXT, ReturnType.TENSORS):
        expected = Text2TextGenerationPipeline.postprocess(
            reference, {"output_ids": rows[None]}, return_type=kind, clean_up_tokenization_spaces=clean
        )
        found = written_records(
            tokenizer,
            rows,
            task="summarization",
            return_tensors=kind == ReturnType.TENSORS,
            clean_up_tokenization_spaces=clean,
        )
        assert list(found[0]) == list(expected[0])
        assert all(torch.equal(a, b) if kind == ReturnType.TENSORS else a == b
                   for a, b in zip(found[0].values(), expected[0].values(), strict=True))  # fmt: skip


def test_names_of_records():
    tasks = ("text-generation", "text2text-generation", "summarization", "translation", "translation_en_to_de")
    assert [record_name(t) for t in tasks] == ["generated", "generated", "summary", "translation", "translation"]
    with pytest.raises(InputError, match="task 'fill-mask' writes no text. Known: text-generation"):
        record_name("fill-mask")


def test_what_a_continuation_is_returned_as():
    assert continuation_type(None, None, None) == "full_text"
    assert continuation_type(True, None, None) == "full_text"
    assert continuation_type(False, None, None) == "new_text"
    assert continuation_type(None, None, True) == "tensors"
    assert continuation_type(None, True, None) == "full_text"
    for given in [(True, True, None), (False, None, True), (None, True, True), (True, False, None)]:
        with pytest.raises(ValueError, match="is mutually exclusive with"):
            continuation_type(*given)


def test_shapes_of_results():
    a, b = {"summary_text": "a"}, {"summary_text": "b"}
    assert flat_if_single("x", [[a]]) == [a]
    assert flat_if_single(["x", "y"], [[a], [b]]) == [a, b]
    assert flat_if_single(["x", "y"], [[a, b], [b, a]]) == [[a, b], [b, a]]
    assert flat_if_single("x", [[a, b]]) == [a, b]
    assert flat_if_single([], []) == []
