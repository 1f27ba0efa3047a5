"""From settings to processors: the same ones as in the reference, in the same order, with the same scores."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers.generation.utils import GenerationMixin

from bothways.errors import InputError
from bothways.generation.build import build_processors
from bothways.generation.configuration import GenerationConfig
from bothways.generation.guidance import UnbatchedClassifierFreeGuidanceLogitsProcessor
from bothways.generation.processor import LogitsProcessor, LogitsProcessorList
from bothways.generation.rows import Rows
from bothways.generation.warpers import TemperatureLogitsWarper

VOCAB = 23


def _drawn(draw: random.Random) -> dict[str, Any]:
    """Settings, each present or not."""
    some = lambda n: [draw.randrange(1, VOCAB) for _ in range(n)]  # noqa: E731
    possible = {
        "sequence_bias": [[some(draw.randint(1, 2)), draw.uniform(-3, 3)] for _ in range(5)],
        "encoder_repetition_penalty": draw.uniform(0.5, 2),
        "repetition_penalty": draw.uniform(0.5, 2),
        "no_repeat_ngram_size": draw.randint(1, 3),
        "encoder_no_repeat_ngram_size": draw.randint(2, 3),
        "bad_words_ids": [some(draw.randint(1, 2)) for _ in range(3)],
        "min_length": draw.randint(1, 12),
        "min_new_tokens": draw.randint(1, 6),
        "forced_bos_token_id": draw.randrange(VOCAB),
        "forced_eos_token_id": draw.choice([draw.randrange(VOCAB), some(2)]),
        "remove_invalid_values": True,
        "exponential_decay_length_penalty": (draw.randint(0, 3), draw.uniform(1, 1.5)),
        "suppress_tokens": some(2),
        "begin_suppress_tokens": some(2),
        "renormalize_logits": True,
        "temperature": draw.uniform(0.3, 2),
        "top_k": draw.randint(0, VOCAB),
        "top_p": draw.uniform(0.1, 1),
        "min_p": draw.uniform(0, 0.3),
        "typical_p": draw.uniform(0.3, 0.99),
        "epsilon_cutoff": draw.uniform(0.001, 0.1),
        "eta_cutoff": draw.uniform(0.001, 0.1),
    }
    chosen = {name: value for name, value in possible.items() if draw.random() < 0.35}
    chosen["eos_token_id"] = draw.choice([3, [3, 5]])
    chosen["max_length"] = 14
    return {**chosen, "do_sample": draw.random() < 0.6, "num_beams": draw.choice([1, 2])}


def _reference(values: dict[str, Any], length: int, **kwargs: Any) -> Any:
    config = transformers.GenerationConfig(**values)
    eos = values.get("eos_token_id")
    config._eos_token_tensor = None if eos is None else torch.tensor([eos] if isinstance(eos, int) else eos)
    return GenerationMixin()._get_logits_processor(config, length, device="cpu", **kwargs)


def _reference_scores(chain: Any, ids: Tensor, scores: Tensor) -> Tensor | None:
    """Its scores, or None where it makes NaN or inf: of an end that is forbidden and made likelier."""
    try:
        result = chain(ids, scores)
    except ValueError as problem:
        assert "nan" in str(problem)
        return None
    return None if (result.isnan() | (result == math.inf)).any() else result


def test_the_same_processors_in_the_same_order_give_the_same_scores() -> None:
    seen: set[str] = set()
    compared = 0
    for round_ in range(250):
        draw = random.Random(round_)
        values, start, length = _drawn(draw), draw.choice([1, draw.randint(2, 6)]), 0
        length = start + draw.randint(0, 14 - start - 1)
        ids = torch.tensor([[draw.randrange(VOCAB) for _ in range(length)] for _ in range(2)])
        encoder = torch.tensor([[draw.randrange(VOCAB) for _ in range(8)] for _ in range(2)])
        allowed = None if draw.random() < 0.8 else (lambda prompt, row: list(range(prompt, VOCAB, 2)))
        scores = torch.randn(2, VOCAB, generator=torch.Generator().manual_seed(round_)) * 3
        ours = build_processors(
            GenerationConfig(**values),
            input_ids_seq_length=start,
            encoder_input_ids=encoder,
            prefix_allowed_tokens_fn=allowed,
        )
        theirs = _reference(values, start, encoder_input_ids=encoder, prefix_allowed_tokens_fn=allowed)
        assert [type(one).__name__ for one in ours] == [type(one).__name__ for one in theirs], values
        expected = _reference_scores(theirs, ids, scores)
        if expected is not None:
            torch.testing.assert_close(ours(ids, scores), expected, rtol=1e-5, atol=1e-5)
            compared += 1
        seen |= {type(one).__name__ for one in ours}
    assert len(seen) == 23 and compared > 180, (compared, sorted(seen))


def test_rows_of_uneven_length_get_what_each_gets_alone() -> None:
    compared = 0
    for round_ in range(120):
        draw = random.Random(f"rows {round_}")
        values = {**_drawn(draw), "num_beams": 1}
        values.pop("max_length"), values.pop("min_length", None)
        starts, written, most = [draw.randint(1, 6) for _ in range(4)], draw.randint(0, 5), 6
        alone = [[draw.randrange(VOCAB) for _ in range(start + written)] for start in starts]
        sources = [torch.tensor([draw.randrange(VOCAB) for _ in range(draw.randint(4, 9))]) for _ in range(4)]
        width = max(map(len, alone))
        order = draw.sample(range(4), draw.randint(1, 4))  # rows that have ended are gone
        rows = Rows(
            ids=torch.tensor([[VOCAB + 9] * (width - len(alone[i])) + alone[i] for i in order]),
            lengths=[len(alone[i]) for i in order],
            prompts=order,
            prompt_lengths=[starts[i] for i in order],
            max_lengths=[starts[i] + most for i in order],
        )
        scores = torch.randn(4, VOCAB, generator=torch.Generator().manual_seed(round_)) * 3
        chain = build_processors(GenerationConfig(**values, max_new_tokens=most), encoder_input_ids=sources)
        got = chain.apply(rows, scores[order])
        for place, i in enumerate(order):
            single = {**values, "max_length": starts[i] + most}
            if "min_new_tokens" in values:
                single["min_length"] = starts[i] + values["min_new_tokens"]  # as the reference prepares it
            expected = _reference(single, starts[i], encoder_input_ids=sources[i][None])
            result = _reference_scores(expected, torch.tensor([alone[i]]), scores[i : i + 1])
            if result is not None:
                torch.testing.assert_close(got[place], result[0], rtol=1e-5, atol=1e-5)
                compared += 1
    assert compared > 150


def test_processors_of_the_caller_come_before_sampling_and_replace_their_like() -> None:
    class Mine(LogitsProcessor):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            return scores

    config = GenerationConfig(do_sample=True, temperature=0.5, repetition_penalty=1.3, renormalize_logits=True)
    mine = Mine()
    assert [type(one).__name__ for one in build_processors(config, logits_processor=[mine])] == [
        *(
            "RepetitionPenaltyLogitsProcessor",
            "Mine",
            "TemperatureLogitsWarper",
            "TopKLogitsWarper",
            "LogitNormalization",
        )
    ]
    replaced = type(build_processors(config)[0])(2.0)  # type: ignore[call-arg]
    with pytest.warns(UserWarning, match="RepetitionPenaltyLogitsProcessor was passed and also follows from"):
        built = build_processors(config, logits_processor=LogitsProcessorList([mine, replaced]))
    assert built[0] is replaced and built[1] is mine and len(built) == 5


def test_sampling_keeps_enough_tokens_for_beams() -> None:
    for eos, kept in ((None, 2), (3, 2), ([3, 4, 5], 4), ([], 2), (-1, 2)):
        config = GenerationConfig(do_sample=True, num_beams=2, top_k=1, top_p=0.5, eos_token_id=eos)
        top_k, top_p = build_processors(config)
        assert (top_k.top_k, top_p.min_tokens_to_keep) == (kept, kept)  # type: ignore[attr-defined]


def test_groups_of_beams_are_kept_apart() -> None:
    config = GenerationConfig(num_beams=4, num_beam_groups=2, diversity_penalty=0.5)
    (only,) = build_processors(config)
    tokens = torch.tensor([1, 1, 0, 0])
    scores = LogitsProcessorList([only])(
        torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 5), current_tokens=tokens, beam_group_idx=1
    )
    assert scores.tolist() == [[0.0, -1.0, 0.0, 0.0, 0.0]] * 2
    with pytest.raises(InputError, match="asks for|needs current_tokens"):
        LogitsProcessorList([only])(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 5))


def test_guidance_asks_the_function_of_the_loop() -> None:
    without = torch.randn(2, VOCAB, generator=torch.Generator().manual_seed(1))
    config = GenerationConfig(guidance_scale=1.5)
    (only,) = build_processors(config, unconditional=lambda rows: without[: len(rows.ids)])
    assert isinstance(only, UnbatchedClassifierFreeGuidanceLogitsProcessor)
    scores = torch.randn(2, VOCAB, generator=torch.Generator().manual_seed(2))
    got = only(torch.zeros(2, 3, dtype=torch.int64), scores)
    u, s = without.log_softmax(-1), scores.log_softmax(-1)
    torch.testing.assert_close(got, u + 1.5 * (s - u))
    with pytest.raises(InputError, match="guidance_scale needs a model"):
        build_processors(config)


def test_settings_that_need_something_say_so() -> None:
    for values, said in (
        ({"encoder_repetition_penalty": 1.5}, "encoder_repetition_penalty needs the ids of the inputs"),
        ({"encoder_no_repeat_ngram_size": 2}, "encoder_no_repeat_ngram_size needs the ids of the inputs"),
        ({"exponential_decay_length_penalty": (1, 1.5)}, "needs eos_token_id"),
        ({"watermarking_config": {"bias": 2.0}}, "writes no watermarks"),
    ):
        with pytest.raises(InputError, match=said):
            build_processors(GenerationConfig(**values))


def test_defaults_ask_for_nothing() -> None:
    assert build_processors(GenerationConfig()) == []
    (only,) = build_processors(GenerationConfig(do_sample=True, top_k=0, temperature=0.3))
    assert isinstance(only, TemperatureLogitsWarper) and math.isclose(only.temperature, 0.3)
