"""Processors against the ecosystem's classes, over many drawn settings and inputs; and rows of uneven length."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers.generation.logits_process as reference
from torch import Tensor

from bothways.errors import InputError
from bothways.generation import guidance, lengths, processor, repetition, warpers
from bothways.generation.rows import Rows

ROUNDS = 60


def ours(name: str) -> Any:
    for module in (warpers, lengths, repetition, guidance):
        if hasattr(module, name):
            return getattr(module, name)
    raise AssertionError(name)


def _tokens(draw: random.Random, vocab: int, least: int = 1, most: int = 4) -> list[int]:
    return [draw.randrange(vocab) for _ in range(draw.randint(least, most))]


def _eos(draw: random.Random, vocab: int) -> Any:
    return draw.choice([draw.randrange(vocab), _tokens(draw, vocab), torch.tensor(_tokens(draw, vocab))])


def _keep(draw: random.Random) -> dict[str, Any]:
    return {"min_tokens_to_keep": draw.randint(1, 3), "filter_value": draw.choice([-math.inf, -1e4])}


def _encoder(draw: random.Random, vocab: int, rows: int) -> Tensor:
    return torch.tensor([[draw.randrange(vocab) for _ in range(9)] for _ in range(rows)])


# For each class: draw, vocab size, rows, length of the rows -> arguments of its constructor.
Arguments = Callable[[random.Random, int, int, int], dict[str, Any]]
SETTINGS: dict[str, Arguments] = {
    "MinLengthLogitsProcessor": lambda d, v, r, s: {"min_length": d.randint(0, 2 * s), "eos_token_id": _eos(d, v)},
    "MinNewTokensLengthLogitsProcessor": lambda d, v, r, s: {
        "prompt_length_to_skip": d.randint(0, s),
        "min_new_tokens": d.randint(0, s),
        "eos_token_id": _eos(d, v),
    },
    "TemperatureLogitsWarper": lambda d, v, r, s: {"temperature": d.uniform(0.05, 4)},
    "RepetitionPenaltyLogitsProcessor": lambda d, v, r, s: {
        "penalty": d.uniform(0.3, 3),
        "prompt_ignore_length": d.choice([None, 0, d.randint(0, s)]),
    },
    "EncoderRepetitionPenaltyLogitsProcessor": lambda d, v, r, s: {
        "penalty": d.uniform(0.3, 3),
        "encoder_input_ids": _encoder(d, v, r),
    },
    "TopPLogitsWarper": lambda d, v, r, s: {"top_p": d.choice([0.0, 1.0, d.random()]), **_keep(d)},
    "TopKLogitsWarper": lambda d, v, r, s: {"top_k": d.randint(1, v + 5), **_keep(d)},
    "MinPLogitsWarper": lambda d, v, r, s: {"min_p": d.choice([0.0, 1.0, d.random()]), **_keep(d)},
    "TypicalLogitsWarper": lambda d, v, r, s: {"mass": d.uniform(0.01, 0.99), **_keep(d)},
    "EpsilonLogitsWarper": lambda d, v, r, s: {"epsilon": d.uniform(1e-4, 0.6), **_keep(d)},
    "EtaLogitsWarper": lambda d, v, r, s: {"epsilon": d.uniform(1e-4, 0.6), **_keep(d)},
    "NoRepeatNGramLogitsProcessor": lambda d, v, r, s: {"ngram_size": d.randint(1, 4)},
    "EncoderNoRepeatNGramLogitsProcessor": lambda d, v, r, s: {
        "encoder_ngram_size": d.randint(1, 4),
        "encoder_input_ids": _encoder(d, v, d.choice([n for n in range(1, r + 1) if r % n == 0])),
    },
    "SequenceBiasLogitsProcessor": lambda d, v, r, s: {
        "sequence_bias": d.choice(
            [
                {tuple(_tokens(d, v)): d.uniform(-5, 5) for _ in range(12)},
                [[[i + 1 for i in _tokens(d, v - 1)], d.uniform(-5, 5)] for _ in range(12)],
            ]
        )
    },
    "NoBadWordsLogitsProcessor": lambda d, v, r, s: {
        "bad_words_ids": [*(_tokens(d, v) for _ in range(12)), [0, 1]],
        "eos_token_id": d.choice([None, _eos(d, v)]),
    },
    "PrefixConstrainedLogitsProcessor": lambda d, v, r, s: {
        "prefix_allowed_tokens_fn": lambda prompt, ids: [(int(ids.sum()) + 3 * prompt + k) % v for k in range(3)],
        "num_beams": d.choice([n for n in range(1, r + 1) if r % n == 0]),
    },
    "ForcedBOSTokenLogitsProcessor": lambda d, v, r, s: {"bos_token_id": d.randrange(v)},
    "ForcedEOSTokenLogitsProcessor": lambda d, v, r, s: {
        "max_length": d.choice([s + 1, s, 20]),
        "eos_token_id": _eos(d, v),
    },
    "InfNanRemoveLogitsProcessor": lambda d, v, r, s: {},
    "ExponentialDecayLengthPenalty": lambda d, v, r, s: {
        "exponential_decay_length_penalty": (d.randint(0, s), d.uniform(0.5, 2)),
        "eos_token_id": _eos(d, v),
        "input_ids_seq_length": d.randint(0, s),
    },
    "LogitNormalization": lambda d, v, r, s: {},
    "SuppressTokensAtBeginLogitsProcessor": lambda d, v, r, s: {
        "begin_suppress_tokens": _tokens(d, v),
        "begin_index": d.randint(max(s - 1, 0), s + 1),
    },
    "SuppressTokensLogitsProcessor": lambda d, v, r, s: {"suppress_tokens": _tokens(d, v + 3)},
}


def _scores(draw: random.Random, rows: int, vocab: int) -> Tensor:
    generator = torch.Generator().manual_seed(draw.randrange(2**31))
    scores = torch.randn(rows, vocab, generator=generator) * draw.choice([0.3, 3.0, 20.0])
    if draw.random() < 0.5:  # some tokens are impossible already
        scores[torch.rand(rows, vocab, generator=generator) < 0.3] = -math.inf
        scores[:, draw.randrange(vocab)] = 1.0
    return scores.log_softmax(-1) if draw.random() < 0.3 else scores


def _same(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_scores_as_the_reference(name: str) -> None:
    for round_ in range(ROUNDS):
        draw = random.Random(f"{name} {round_}")
        vocab, rows, length = draw.randint(6, 40), draw.randint(1, 6), draw.choice([1, draw.randint(2, 30)])
        ids = torch.tensor([[draw.randrange(min(vocab, 9)) for _ in range(length)] for _ in range(rows)])
        scores = _scores(draw, rows, vocab)
        if name == "ExponentialDecayLengthPenalty":
            scores[scores == -math.inf] = -30.0  # the reference makes NaN of an end that is forbidden
        arguments = SETTINGS[name](draw, vocab, rows, length)
        before = scores.clone()
        got = ours(name)(**arguments)(ids, scores)
        assert torch.equal(scores, before), "the scores that came were changed"
        _same(got, getattr(reference, name)(**arguments)(ids, before))


def test_the_tail_of_bf16_scores_is_cut_as_by_the_reference() -> None:
    for seed in range(20):
        scores = torch.randn(3, 500, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16)
        for name, value in (("TopKLogitsWarper", 7), ("MinPLogitsWarper", 0.1)):
            ids = torch.zeros(3, 1, dtype=torch.int64)
            assert torch.equal(ours(name)(value)(ids, scores), getattr(reference, name)(value)(ids, scores))


def test_top_p_of_large_vocabularies() -> None:
    """There most tokens need no sorting; what is kept must be the same, also of flat and of steep distributions."""
    for round_, width in enumerate((0.01, 1.0, 3.0, 10.0) * 3):
        scores = torch.randn(2, 30_000, generator=torch.Generator().manual_seed(round_), dtype=torch.float64) * width
        top_p = (0.05, 0.5, 0.9, 0.999)[(round_ // 4 + round_) % 4]
        ids = torch.zeros(2, 1, dtype=torch.int64)
        _same(warpers.TopPLogitsWarper(top_p)(ids, scores), reference.TopPLogitsWarper(top_p)(ids, scores))


def test_infinite_and_undefined_scores_are_replaced() -> None:
    scores = torch.tensor([[math.inf, -math.inf, math.nan, 2.0]])
    ids = torch.zeros(1, 1, dtype=torch.int64)
    got = warpers.InfNanRemoveLogitsProcessor()(ids, scores)
    assert torch.equal(got, reference.InfNanRemoveLogitsProcessor()(ids, scores))
    assert got[0, 2] == 0


def test_diverse_beams_are_told_from_those_of_other_groups() -> None:
    for round_ in range(ROUNDS):
        draw = random.Random(round_)
        groups, per_group, prompts, vocab = draw.randint(2, 4), draw.randint(1, 3), draw.randint(1, 3), 11
        beams = groups * per_group
        tokens = torch.tensor([draw.randrange(vocab) for _ in range(prompts * beams)])
        ids = torch.zeros(prompts * per_group, 3, dtype=torch.int64)
        for group in range(groups):
            scores = _scores(draw, prompts * per_group, vocab)
            arguments = (draw.uniform(0.1, 3), beams, groups)
            got = guidance.HammingDiversityLogitsProcessor(*arguments)
            expected = reference.HammingDiversityLogitsProcessor(*arguments)
            _same(got(ids, scores, current_tokens=tokens, beam_group_idx=group), expected(ids, scores, tokens, group))


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("with_ids", [True, False])
def test_guidance_asks_the_model_without_the_prompt(use_cache: bool, with_ids: bool) -> None:
    class Model:
        """Scores follow from all ids, which a cache remembers as a sum."""

        table = torch.randn(7, 7, generator=torch.Generator().manual_seed(0))

        def __call__(self, ids: Tensor, attention_mask: Tensor, use_cache: bool, past_key_values: Any) -> Any:
            assert attention_mask.shape[1] >= ids.shape[1]
            hidden = self.table[ids].cumsum(1) + (0 if past_key_values is None else past_key_values)
            past = hidden[:, -1:] if use_cache else None
            return transformers_output(logits=hidden, past_key_values=past)

    def transformers_output(**values: Any) -> Any:
        from transformers.modeling_outputs import CausalLMOutputWithPast

        return CausalLMOutputWithPast(**values)

    negative = torch.tensor([[1, 2], [3, 4]]) if with_ids else None
    got = guidance.UnbatchedClassifierFreeGuidanceLogitsProcessor(1.5, Model(), negative, use_cache=use_cache)
    expected = reference.UnbatchedClassifierFreeGuidanceLogitsProcessor(1.5, Model(), negative, use_cache=use_cache)
    ids = torch.tensor([[5, 6, 1], [2, 2, 3]])
    for step in range(4):
        scores = torch.randn(2, 7, generator=torch.Generator().manual_seed(step))
        _same(got(ids, scores), expected(ids, scores))
        ids = torch.cat([ids, torch.tensor([[step], [6 - step]])], dim=1)


class _Counting(processor.LogitsProcessor):
    """As people write one: it looks at a rectangle and trusts its shape."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        assert (input_ids >= 0).all(), "padding was handed over"
        return scores + input_ids.shape[1] + input_ids.sum(dim=1, keepdim=True)


class _Louder(repetition.RepetitionPenaltyLogitsProcessor):
    """A subclass of a class that knows rows, with a call of its own."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # type: ignore[override]
        assert (input_ids >= 0).all(), "padding was handed over"
        return super().__call__(input_ids, scores) * input_ids.shape[1]


def _uneven(draw: random.Random, vocab: int) -> tuple[Rows, list[Tensor]]:
    """Rows of several lengths, and each alone. What stands before a row would be an error to read."""
    alone = [torch.tensor(_tokens(draw, min(vocab, 5), 1, 12)) for _ in range(draw.randint(2, 6))]
    width = max(len(row) for row in alone) + draw.randint(0, 2)
    ids = torch.full((len(alone), width), -7)
    for index, row in enumerate(alone):
        ids[index, width - len(row) :] = row
    prompt_lengths = [draw.randint(1, len(row)) for row in alone]
    return (
        Rows(
            ids=ids,
            lengths=[len(row) for row in alone],
            prompts=[draw.randrange(3) for _ in alone],
            prompt_lengths=prompt_lengths,
            max_lengths=[start + 3 for start in prompt_lengths],
        ),
        alone,
    )


def _for_rows(name: str, draw: random.Random, vocab: int) -> tuple[dict[str, Any], Callable[[Rows, int], Any]]:
    """Arguments for all rows, and those that are others where the reference sees row ``r`` alone."""
    arguments = SETTINGS[name](draw, vocab, 1, 6)
    alone: dict[str, Callable[[Rows, int], Any]] = {}
    if "encoder_input_ids" in arguments:
        inputs = [torch.tensor(_tokens(draw, 5, 3, 9)) for _ in range(3)]
        arguments["encoder_input_ids"] = inputs
        alone["encoder_input_ids"] = lambda rows, r: inputs[rows.prompts[r]][None]
    for key in ("prompt_length_to_skip", "input_ids_seq_length", "begin_index"):
        if key in arguments:
            arguments[key] = None
            alone[key] = lambda rows, r: rows.prompt_lengths[r]
    if name == "ForcedEOSTokenLogitsProcessor":
        arguments["max_length"] = None
        alone["max_length"] = lambda rows, r: rows.max_lengths[r]
    if name == "PrefixConstrainedLogitsProcessor":
        allowed = arguments["prefix_allowed_tokens_fn"]
        alone["num_beams"] = lambda rows, r: 1
        alone["prefix_allowed_tokens_fn"] = lambda rows, r: lambda _, ids: allowed(rows.prompts[r], ids)
    return arguments, lambda rows, r: {key: of_row(rows, r) for key, of_row in alone.items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_row_beside_others_gets_the_scores_that_it_gets_alone(name: str) -> None:
    for round_ in range(ROUNDS):
        draw = random.Random(f"rows {name} {round_}")
        vocab = draw.randint(9, 30)
        rows, alone = _uneven(draw, vocab)
        scores = _scores(draw, len(alone), vocab)
        if name == "ExponentialDecayLengthPenalty":
            scores[scores == -math.inf] = -30.0
        arguments, different = _for_rows(name, draw, vocab)
        got = ours(name)(**arguments).for_rows(rows, scores)
        for index, row in enumerate(alone):
            expected = getattr(reference, name)(**{**arguments, **different(rows, index)})
            _same(got[index], expected(row[None], scores[index : index + 1])[0])


def test_processors_of_users_see_rows_without_padding() -> None:
    for round_ in range(20):
        draw = random.Random(round_)
        rows, alone = _uneven(draw, 9)
        scores = _scores(draw, len(alone), 9)
        chain = processor.LogitsProcessorList([_Counting(), _Louder(1.7), lambda ids, s: s * ids[:, -1:]])
        got = chain.apply(rows, scores)
        for index, row in enumerate(alone):
            _same(got[index], chain(row[None], scores[index : index + 1])[0])


def test_the_list_hands_over_what_a_processor_asks_for() -> None:
    class Asks(processor.LogitsProcessor):
        def __call__(self, input_ids: Tensor, scores: Tensor, extra: int) -> Tensor:  # type: ignore[override]
            return scores + extra

    ids, scores = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 5)
    chain = processor.LogitsProcessorList([warpers.LogitNormalization(), Asks()])
    assert torch.equal(chain(ids, scores, extra=2), scores.log_softmax(-1) + 2)
    assert torch.equal(chain.apply(Rows.rectangle(ids), scores, extra=2), scores.log_softmax(-1) + 2)
    with pytest.raises(InputError, match=r"Asks asks for extra"):
        chain(ids, scores)
    with pytest.raises(NotImplementedError, match="LogitsProcessor defines no"):
        processor.LogitsProcessor()(ids, scores)


def test_an_end_that_is_forbidden_stays_so_while_its_penalty_grows() -> None:
    scores = torch.tensor([[-math.inf, 1.0, 2.0]])
    late = torch.zeros(1, 9000, dtype=torch.int64)
    got = lengths.ExponentialDecayLengthPenalty((1, 1.5), [0, 1], 0)(late, scores)
    assert got[0, 0] == -math.inf and math.isfinite(float(got[0, 1])) and got[0, 1] > 1e30
    assert got.softmax(-1).tolist() == [[0.0, 1.0, 0.0]]


def test_only_the_ends_of_rows_are_not_words_that_are_forbidden() -> None:
    scores = torch.zeros(1, 4)
    nothing = repetition.NoBadWordsLogitsProcessor([[3]], eos_token_id=3)
    assert torch.equal(nothing(torch.tensor([[1]]), scores), scores)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: warpers.TemperatureLogitsWarper(0.0), r"temperature is 0.0.*above 0.*do_sample=False"),
        (lambda: warpers.TemperatureLogitsWarper(-1), r"temperature is -1"),
        (lambda: warpers.TemperatureLogitsWarper(math.nan), r"temperature is nan"),
        (lambda: warpers.TopPLogitsWarper(1.5), r"top_p is 1.5, expected a number at least 0 and at most 1"),
        (lambda: warpers.TopKLogitsWarper(0), r"top_k is 0, expected a whole number at least 1.*0 keeps all"),
        (lambda: warpers.TopKLogitsWarper(2.5), r"top_k is 2.5"),  # type: ignore[arg-type]
        (lambda: warpers.TopPLogitsWarper(0.5, min_tokens_to_keep=0), r"min_tokens_to_keep is 0"),
        (lambda: warpers.MinPLogitsWarper(-0.1), r"min_p is -0.1"),
        (lambda: warpers.TypicalLogitsWarper(1.0), r"typical_p is 1.0, expected a number above 0 and below 1"),
        (lambda: warpers.EpsilonLogitsWarper(0), r"epsilon_cutoff is 0"),
        (lambda: warpers.EtaLogitsWarper(1), r"eta_cutoff is 1"),
        (lambda: repetition.RepetitionPenaltyLogitsProcessor(0.0), r"repetition_penalty is 0.0.*1.0 changes nothing"),
        (lambda: repetition.NoRepeatNGramLogitsProcessor(-2), r"no_repeat_ngram_size is -2"),
        (lambda: repetition.SequenceBiasLogitsProcessor({}), r"sequence_bias is \{\}"),
        (lambda: repetition.SequenceBiasLogitsProcessor({(1, -2): 1.0}), r"a sequence of sequence_bias is \(1, -2\)"),
        (lambda: repetition.SequenceBiasLogitsProcessor([[[1], "x"]]), r"the bias of \[1\] is 'x'"),
        (lambda: repetition.NoBadWordsLogitsProcessor([]), r"bad_words_ids is \[\]"),
        (lambda: repetition.NoBadWordsLogitsProcessor([[]]), r"a word of bad_words_ids is \[\]"),
        (lambda: lengths.MinLengthLogitsProcessor(-1, 0), r"min_length is -1"),
        (lambda: lengths.ForcedEOSTokenLogitsProcessor(5, -2), r"forced_eos_token_id is -2"),
        (lambda: guidance.HammingDiversityLogitsProcessor(0.0, 4, 2), r"diversity_penalty is 0.0"),
        (lambda: guidance.HammingDiversityLogitsProcessor(1.0, 4, 5), r"num_beam_groups is 5.*at most 4"),
        (lambda: guidance.UnbatchedClassifierFreeGuidanceLogitsProcessor(2.0, None), r"guidance_scale needs a model"),
    ],
)
def test_impossible_arguments_are_refused_with_advice(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        make()
    assert isinstance(caught.value, InputError)


def test_impossible_calls_are_refused() -> None:
    ids, scores = torch.tensor([[1, 2]]), torch.zeros(1, 4)
    with pytest.raises(InputError, match=r"the tokens \[9\] have a bias, but the vocabulary has 4 tokens"):
        repetition.SequenceBiasLogitsProcessor({(9,): 1.0})(ids, scores)
    with pytest.raises(InputError, match=r"forced tokens \[7\] are not in the vocabulary of 4"):
        lengths.ForcedBOSTokenLogitsProcessor(7)(ids[:, :1], scores)
    with pytest.raises(InputError, match="allows no token for prompt 0 after 2 tokens"):
        guidance.PrefixConstrainedLogitsProcessor(lambda prompt, row: [], 1)(ids, scores)
    with pytest.raises(InputError, match="known only inside generate"):
        lengths.MinNewTokensLengthLogitsProcessor(None, 3, 0)(ids, scores)
    with pytest.raises(InputError, match=r"shape \(2,\), expected \(rows, tokens\)"):
        Rows(ids=ids[0], lengths=(2,))
    with pytest.raises(InputError, match="lengths has 2 values for 1 rows"):
        Rows(ids=ids, lengths=(2, 2))
