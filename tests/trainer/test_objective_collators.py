"""The order of sentences, permutations and spans: with torch's seed as in the reference, where that is defined."""

from __future__ import annotations

import os
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

import bothways
from bothways.errors import InputError

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")
import transformers  # noqa: E402

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", *(f"##{letter}" for letter in "abcdefgh")]
PAIRS = [("a b c", "d e f g"), ("h", "a b"), ("a b c d e f g h", "b")]


@pytest.fixture(scope="module", params=["right", "left"])
def tokenizers(tmp_path_factory, request):
    """(ours, the reference's)"""
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(VOCABULARY) + "\n")
    return tuple(
        m.BertTokenizerFast(vocab_file=str(path), padding_side=request.param) for m in (bothways, transformers)
    )


def ordered(tokenizer):
    """Examples as ``LineByLineWithSOPTextDataset`` gives them."""
    rows = [tokenizer(first, second) for first, second in PAIRS]
    return [
        {
            "input_ids": torch.tensor(row["input_ids"]),
            "token_type_ids": torch.tensor(row["token_type_ids"]),
            "sentence_order_label": torch.tensor(index % 2),
        }
        for index, row in enumerate(rows)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_sentence_order_as_in_the_reference(tokenizers, seed):
    ours, theirs = tokenizers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = transformers.DataCollatorForSOP(theirs)
    reference.tokenizer, reference.mlm_probability = theirs, 0.15  # its __init__ drops what it is given
    torch.manual_seed(seed)
    expected = reference([dict(row) for row in ordered(ours)])
    torch.manual_seed(seed)
    found = bothways.DataCollatorForSOP(ours)(ordered(ours))
    for name in ("input_ids", "labels", "sentence_order_label"):
        assert torch.equal(found[name], expected[name]), name
    if ours.padding_side == "right":  # the reference fills token types up on the right in any case
        assert torch.equal(found["token_type_ids"], expected["token_type_ids"])
    widths = torch.tensor([[10], [6], [12]])
    is_token = torch.arange(12) < widths if ours.padding_side == "right" else torch.arange(12) >= 12 - widths
    assert torch.equal(found["attention_mask"], is_token.long())


def test_the_order_of_sentences_is_learnt_from_the_batch(tokenizers):
    torch.manual_seed(0)
    sizes = {"vocab_size": 21, "hidden_size": 16, "embedding_size": 8, "num_hidden_layers": 1}
    model = bothways.AlbertForPreTraining(
        bothways.AlbertConfig(**sizes, num_attention_heads=2, intermediate_size=16, max_position_embeddings=16)
    )
    batch = bothways.DataCollatorForSOP(tokenizers[0], seed=1)(ordered(tokenizers[0]))
    output = model(**batch)
    assert output.loss.isfinite() and output.sop_logits.shape == (3, 2)


def test_examples_without_an_order(tokenizers):
    rows = ordered(tokenizers[0])
    del rows[1]["sentence_order_label"]
    with pytest.raises(InputError, match="example 1 has no sentence_order_label"):
        bothways.DataCollatorForSOP(tokenizers[0])(rows)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    share=st.sampled_from([1 / 6, 0.3, 1.0]),
    longest=st.integers(1, 6),
    lengths=st.lists(st.integers(2, 24), min_size=1, max_size=4),
)
def test_permutations_as_in_the_reference(tokenizers, seed, share, longest, lengths):
    lengths.append(24)
    rows = [{"input_ids": [2, *(5 + i % 16 for i in range(n - 2)), 3]} for n in lengths]
    found = []
    for module, tokenizer in zip((bothways, transformers), tokenizers, strict=True):
        torch.manual_seed(seed)
        collator = module.DataCollatorForPermutationLanguageModeling(tokenizer, share, longest)
        batch = collator([dict(row) for row in rows])
        found.append({name: (str(value.dtype), value.tolist()) for name, value in batch.items()})
    assert found[0] == found[1]


def test_permutations_from_lists_and_to_numpy(tokenizers):
    torch.manual_seed(0)
    collator = bothways.DataCollatorForPermutationLanguageModeling(tokenizers[0], return_tensors="np")
    batch = collator([[2, 5, 6, 7, 8, 3], torch.tensor([2, 5, 6, 3]).tolist()])
    assert batch["perm_mask"].shape == (2, 6, 6) and batch["perm_mask"].dtype.name == "float32"
    assert batch["labels"].dtype.name == "int64"


@pytest.mark.parametrize(
    ("row", "wrong", "says"),
    [
        ([2, 5, 3], {}, "the rows have 3 tokens"),
        ([2, 5, 5, 3], {"plm_probability": 0.0}, "plm_probability is 0;"),
        ([2, 5, 5, 3], {"max_span_length": 0}, "max_span_length is 0;"),
    ],
)
def test_impossible_permutations(tokenizers, row, wrong, says):
    with pytest.raises(InputError, match=says):
        bothways.DataCollatorForPermutationLanguageModeling(tokenizers[0], **wrong)([row])


def sentinels(n=20, order=None):
    """A tokeniser with numbers as words, and sentinels at the end, the first one last."""
    words = ["<pad>", "</s>", *map(str, range(100))]
    words += [f"<extra_id_{k}>" for k in (order or range(n - 1, -1, -1))]
    engine = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    return bothways.PreTrainedTokenizerFast(tokenizer_object=engine, pad_token="<pad>", eos_token="</s>")


def test_spans_are_sources_and_labels():
    tokenizer = sentinels()
    collator = bothways.DataCollatorForSpanCorruption(tokenizer, seed=3)
    texts = [list(range(2, 42)), [*range(2, 22), 1], [5, 6]]
    batch = collator([{"input_ids": text, "attention_mask": [1] * len(text)} for text in texts])
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert batch["attention_mask"].sum(1).tolist() == [40 - 6 + 2 + 1, 20 - 3 + 1 + 1, 1 + 1 + 1]
    assert (batch["labels"] != -100).sum(1).tolist() == [6 + 2 + 1, 3 + 1 + 1, 1 + 1 + 1]
    assert ((batch["input_ids"] == 0) == (batch["attention_mask"] == 0)).all()
    for text, source, target in zip(texts, batch["input_ids"], batch["labels"], strict=True):
        words = [i for i in source.tolist() + target.tolist() if 2 <= i < 102]
        assert sorted(words) == [i for i in text if i != 1], "every word is in one of both"
        first = tokenizer.convert_tokens_to_ids("<extra_id_0>")
        assert first in source and target[0] == first


def test_a_model_that_writes_takes_the_batch():
    torch.manual_seed(0)
    sizes = {"vocab_size": 122, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    model = bothways.T5ForConditionalGeneration(bothways.T5Config(**sizes, decoder_start_token_id=0)).eval()
    collator = bothways.DataCollatorForSpanCorruption(sentinels(), seed=3)
    batch = collator([list(range(2, 42)), list(range(2, 22))])
    with torch.no_grad():
        found = model(**batch)
    asked = batch["labels"] != -100
    assert found.logits.shape == (2, 9, 122)
    expected = torch.nn.functional.cross_entropy(found.logits[asked], batch["labels"][asked])
    torch.testing.assert_close(found.loss, expected)


def test_spans_follow_from_the_seed():
    rows = [list(range(2, 92))]
    made = [bothways.DataCollatorForSpanCorruption(sentinels(), seed=seed) for seed in (1, 1, 2)]
    first, again, other = ([collator(rows)["input_ids"].tolist() for _ in range(2)] for collator in made)
    assert first == again != other and first[0] != first[1]
    unseeded = bothways.DataCollatorForSpanCorruption(sentinels(), return_tensors="np")
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(unseeded(rows)["input_ids"].tolist())
    assert found[0] == found[1] != found[2]


def test_tokenisers_without_sentinels(tokenizers):
    with pytest.raises(InputError, match="no <extra_id_0>"):
        bothways.DataCollatorForSpanCorruption(tokenizers[0])
    with pytest.raises(InputError, match="<extra_id_1> has id 103, expected 101"):
        bothways.DataCollatorForSpanCorruption(sentinels(order=[0, 1, 2]))
    with pytest.raises(InputError, match="3 spans, but there are only 2 sentinels"):
        bothways.DataCollatorForSpanCorruption(sentinels(2))([list(range(2, 62))])
