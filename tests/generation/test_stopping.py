"""When rows end, against the ecosystem's criteria and against what the text says."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
import transformers.generation.stopping_criteria as reference
from torch import Tensor

from bothways.errors import InputError
from bothways.generation.configuration import GenerationConfig
from bothways.generation.rows import Rows
from bothways.generation.stopping import (
    ConfidenceCriteria,
    EosTokenCriteria,
    MaxLengthCriteria,
    MaxTimeCriteria,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
    build_criteria,
)
from tests.generation import tiny_tokenizers

UNEVEN = Rows(
    ids=torch.tensor([[-7, -7, 3, 4], [5, 6, 7, 8], [-7, 1, 2, 8]]), lengths=[2, 4, 3], prompt_lengths=[1, 1, 1]
)


def test_lengths_and_ends_are_those_of_each_row() -> None:
    assert MaxLengthCriteria(3).for_rows(UNEVEN, None).tolist() == [False, True, True]
    assert EosTokenCriteria([8, 3]).for_rows(UNEVEN, None).tolist() == [False, True, True]
    ids = torch.tensor([[1, 2], [3, 4]])
    for ours, theirs in (
        (MaxLengthCriteria(2), reference.MaxLengthCriteria(2)),
        (MaxLengthCriteria(3), reference.MaxLengthCriteria(3)),
        (EosTokenCriteria(4), reference.EosTokenCriteria(4)),
        (EosTokenCriteria(torch.tensor([2, 9])), reference.EosTokenCriteria(torch.tensor([2, 9]))),
    ):
        assert torch.equal(ours(ids, None), theirs(ids, None))
    assert StoppingCriteriaList([EosTokenCriteria(1), MaxLengthCriteria(7)]).max_length == 7
    assert StoppingCriteriaList([EosTokenCriteria(1)]).max_length is None


def test_time_ends_all_rows_at_once() -> None:
    assert MaxTimeCriteria(1000.0).for_rows(UNEVEN, None).tolist() == [False] * 3
    assert MaxTimeCriteria(1000.0, initial_timestamp=0.0).for_rows(UNEVEN, None).tolist() == [True] * 3


def test_confidence_is_that_of_the_last_token_of_each_row() -> None:
    scores = torch.zeros(2, 10)
    scores[0, 4], scores[1, 8] = 5.0, -5.0
    ids = torch.tensor([[3, 4], [7, 8]])
    criterion = ConfidenceCriteria(0.4)
    assert criterion(ids, (torch.zeros(2, 10), scores)).tolist() == [False, True]
    for row in range(2):
        alone = (ids[row : row + 1], (scores[row : row + 1],))
        assert bool(criterion(*alone)) is reference.ConfidenceCriteria(0.4)(*alone)
    with pytest.raises(InputError, match="output_scores=True"):
        criterion(ids, None)


class _Custom(StoppingCriteria):
    """As people write one: it trusts the shape of what comes, and answers for each row."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        assert (input_ids >= 0).all(), "padding was handed over"
        return input_ids.sum(dim=1) + (0 if scores is None else scores[-1][:, 0]) > 9


class _OneAnswer(StoppingCriteria):
    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        return bool(input_ids.shape[1] == 3)


class _Later(EosTokenCriteria):
    """A subclass of a class that knows rows, with a call of its own."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        return super().__call__(input_ids, scores) & (input_ids.shape[1] > 3)


def test_criteria_of_users_see_rows_without_padding() -> None:
    assert StoppingCriteriaList([_Custom()]).apply(UNEVEN, None).tolist() == [False, True, True]
    scores = (torch.zeros(3, 4), torch.tensor([[9.0], [0.0], [-5.0]]))
    assert StoppingCriteriaList([_Custom()]).apply(UNEVEN, scores).tolist() == [True, True, False]
    assert StoppingCriteriaList([_OneAnswer()]).apply(UNEVEN, None).tolist() == [False, False, True]
    assert StoppingCriteriaList([_Later(8)]).apply(UNEVEN, None).tolist() == [False, True, False]
    assert StoppingCriteriaList([lambda ids, scores: ids[:, -1] == 4]).apply(UNEVEN, None).tolist() == [
        True,
        False,
        False,
    ]
    with pytest.raises(NotImplementedError, match="StoppingCriteria defines no"):
        StoppingCriteria()(UNEVEN.ids, None)
    ids = torch.tensor([[1, 2, 8], [3, 4, 5]])
    assert StoppingCriteriaList([_OneAnswer(), EosTokenCriteria(8)])(ids, None).tolist() == [True, True]
    assert StoppingCriteriaList([])(ids, None).tolist() == [False, False]


@pytest.mark.parametrize("kind", tiny_tokenizers.ALL)
def test_stop_strings_as_the_reference_finds_them(kind: str) -> None:
    tokenizer = tiny_tokenizers.ALL[kind]()
    plain = [token for token in range(len(tokenizer)) if tokenizer.decode([token]).isascii()]
    found = 0
    for round_ in range(15):
        draw = random.Random(f"{kind} {round_}")
        stops = draw.choice([["stop"], ["top", "the "], [" st", "op."], ["pp", "o"], [". ", "doesn't"], ["one two"]])
        ours, theirs = StopStringCriteria(tokenizer, stops), reference.StopStringCriteria(tokenizer, stops)
        rows = [
            tokenizer(draw.choice(tiny_tokenizers.TEXTS[:2]), add_special_tokens=False)["input_ids"] for _ in range(2)
        ]
        rows.append([draw.choice(plain) for _ in range(40)])
        for row in rows:
            # A tokeniser that cleans up removes spaces depending on what follows; the reference looks at tokens alone.
            for end in range(1, len(row) + 1):
                ids = torch.tensor([row[:end]])
                got = bool(ours(ids, None))
                assert got == bool(theirs(ids, None)), (stops, tokenizer.convert_ids_to_tokens(row[:end]))
                found += got
    assert found > 20


@pytest.mark.parametrize("stop", ["é", "你好", "好世", "🙂", "👩‍👧", "ë n", "ครับ", "…"])
@pytest.mark.parametrize("kind", ["byte_level", "byte_fallback"])
def test_stop_strings_may_be_any_characters(kind: str, stop: str) -> None:
    tokenizer = tiny_tokenizers.ALL[kind]()
    row = tokenizer(f"so Zoë naïve café – “quotes” … {stop} and more", add_special_tokens=False)["input_ids"]
    criterion = StopStringCriteria(tokenizer, stop)
    ended = [bool(criterion(torch.tensor([row[:end]]), None)) for end in range(1, len(row) + 1)]
    expected = []
    for end in range(1, len(row) + 1):
        before, after = tokenizer.decode(row[: end - 1]), tokenizer.decode(row[:end])
        expected.append(after.count(stop) > before.count(stop))
    assert ended == expected and sum(ended) >= 1


def test_stop_strings_that_began_in_the_prompt_or_lie_behind() -> None:
    tokenizer = tiny_tokenizers.byte_level()
    criterion = StopStringCriteria(tokenizer, "stop")
    ids = {
        end: tokenizer(text, add_special_tokens=False)["input_ids"] for end, text in enumerate(["the st", "op", " fox"])
    }
    assert bool(criterion(torch.tensor([ids[0] + ids[1]]), None)) is True
    assert bool(criterion(torch.tensor([ids[0] + ids[1] + ids[2]]), None)) is False, "it is not at the end any more"


def test_characters_of_several_tokens_do_not_complete_what_is_before_them() -> None:
    tokenizer = tiny_tokenizers.byte_fallback()
    row = tokenizer("好世", add_special_tokens=False)["input_ids"]
    criterion = StopStringCriteria(tokenizer, "好")
    ended = [bool(criterion(torch.tensor([row[:end]]), None)) for end in range(1, len(row) + 1)]
    assert ended == [False] * 3 + [True] + [False] * 3, "a mark of the word, three bytes, three bytes"
    row = tokenizer("好🙂", add_special_tokens=False)["input_ids"]
    assert not bool(criterion(torch.tensor([row]), None)), "four bytes"
    byte_row = tiny_tokenizers.byte_level()("好" * 9, add_special_tokens=False)["input_ids"][:-1]
    assert not StopStringCriteria(tiny_tokenizers.byte_level(), "好")(torch.tensor([byte_row]), None)


@pytest.mark.parametrize("kind", ["byte_level", "byte_fallback"])
def test_stop_strings_are_found_after_any_number_of_characters_in_bytes(kind: str) -> None:
    tokenizer = tiny_tokenizers.ALL[kind]()
    for count in range(1, 40):
        row = tokenizer("世" * count + "好🙂", add_special_tokens=False)["input_ids"]
        assert bool(StopStringCriteria(tokenizer, ["🙂"])(torch.tensor([row]), None))
        assert not bool(StopStringCriteria(tokenizer, ["🙂"])(torch.tensor([row[:-1]]), None))


def test_stop_strings_may_overlap_themselves() -> None:
    tokenizer = tiny_tokenizers.byte_level()
    ids = tokenizer.convert_tokens_to_ids(list("xaaa"))
    criterion = StopStringCriteria(tokenizer, "aa")
    assert [bool(criterion(torch.tensor([ids[:end]]), None)) for end in range(1, 5)] == [False, False, True, True]


def test_stop_strings_in_rows_of_uneven_length() -> None:
    tokenizer = tiny_tokenizers.byte_level()
    texts = ["stop", "the fox and the stop", "fox"]
    alone = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    width = max(len(row) for row in alone)
    ids = torch.tensor([[-7] * (width - len(row)) + row for row in alone])
    rows = Rows(ids=ids, lengths=[len(row) for row in alone])
    assert StopStringCriteria(tokenizer, ["stop"]).for_rows(rows, None).tolist() == [True, True, False]


def test_criteria_from_settings() -> None:
    config = GenerationConfig(max_time=5.0, stop_strings="stop")
    with pytest.raises(InputError, match="pass tokenizer= to generate"):
        build_criteria(config)
    mine = MaxTimeCriteria(7.0)
    with pytest.warns(UserWarning, match="MaxTimeCriteria was passed and also follows from the settings"):
        built = build_criteria(config, [mine, _Custom()], tiny_tokenizers.byte_level())
    assert [type(one) for one in built] == [MaxTimeCriteria, StopStringCriteria, _Custom] and built[0] is mine
    assert build_criteria(GenerationConfig()) == []


@pytest.mark.parametrize("stops", ["", [], [""], [3], None])
def test_stop_strings_must_be_texts(stops: Any) -> None:
    with pytest.raises(InputError, match="stop_strings is .*expected texts that are not empty"):
        StopStringCriteria(tiny_tokenizers.byte_level(), stops)
