"""Text generation: batches without padding, seeds, lengths, long prompts, what is refused; equal to the reference."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways import GenerationConfig, TextIteratorStreamer, pipeline
from bothways.pipelines.prompt_batches import Plan, Prompt, batches, without_padding
from tests.pipelines.writers import POSITIONS, make_gpt2

PROMPTS = ["The keeper", "a dog and a cat", "", "x", "The keeper", "one two three four five six seven"]
GREEDY = {"do_sample": False, "max_new_tokens": 8}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return make_gpt2(tmp_path_factory.mktemp("writers") / "gpt2")


@pytest.fixture(scope="module")
def pipe(directory):
    return pipeline("text-generation", model=str(directory))


@pytest.mark.parametrize(
    "how",
    [
        GREEDY,
        {"max_new_tokens": 9, "seed": 5},
        {"max_new_tokens": 9, "seed": 5, "num_return_sequences": 3, "top_p": 0.9},
        {"max_new_tokens": 9, "num_beams": 3, "do_sample": False, "num_return_sequences": 2},
        {"max_length": 36, "do_sample": False},
        {"max_length": 40, "min_length": 38, "do_sample": False},
        {"max_new_tokens": 12, "do_sample": False, "stop_sequence": "a"},
        {"max_new_tokens": 6, "do_sample": False, "return_tensors": True},
        {"max_new_tokens": 6, "do_sample": False, "prefix": "Once "},
        {"max_new_tokens": 6, "do_sample": False, "prompt_lookup_num_tokens": 3},
        {"seed": 11},
    ],
)
def test_a_list_gives_what_its_texts_give_alone(pipe, how):
    together = pipe(PROMPTS, **how)
    assert together == [pipe(prompt, **how) for prompt in PROMPTS]
    assert together == list(pipe((prompt for prompt in PROMPTS), **how))
    assert all(len(records) == how.get("num_return_sequences", 1) for records in together)


def test_small_batches_give_the_same(pipe, monkeypatch):
    how = {"max_new_tokens": 7, "seed": 3}
    expected = pipe(PROMPTS, **how)
    monkeypatch.setattr("bothways.pipelines.writing.MAX_ROWS", 2)
    assert pipe(PROMPTS, **how) == expected


def test_one_seed_for_each_text(pipe):
    how = {"max_new_tokens": 8}
    found = pipe(["The keeper"] * 3, seed=[1, 2, 1], **how)
    assert found[0] == found[2] != found[1]
    assert found[1] == pipe("The keeper", seed=2, **how)
    with pytest.raises(ValueError, match=r"seed has 2 numbers, but there is an input 2"):
        pipe(PROMPTS, seed=[1, 2], **how)


def test_equal_prompts_are_written_once_and_drawn_apart(pipe):
    torch.manual_seed(0)
    drawn = {record[0]["generated_text"] for record in pipe(["The keeper"] * 4, max_new_tokens=12)}
    assert len(drawn) > 1
    assert len({record[0]["generated_text"] for record in pipe(["The keeper"] * 4, **GREEDY)}) == 1


def test_own_defaults_give_way(directory, pipe):
    assert pipe.generation_config.do_sample and pipe.generation_config.temperature == 0.7
    assert pipe.generation_config.max_new_tokens == 256
    model = pipe.model.__class__.from_pretrained(directory)
    model.generation_config.update(temperature=0.4, max_length=33)
    ours = pipeline("text-generation", model=model, tokenizer=pipe.tokenizer)
    assert ours.generation_config.temperature == 0.4
    assert (ours.generation_config.max_new_tokens, ours.generation_config.max_length) == (None, 33)
    (record,) = ours("The keeper", return_tensors=True, do_sample=False)
    assert len(record["generated_token_ids"]) <= 33
    (record,) = ours("The keeper", return_tensors=True, do_sample=False, max_new_tokens=2)
    assert len(record["generated_token_ids"]) == len(pipe.tokenizer("The keeper")["input_ids"]) + 2


def test_settings_of_the_construction_and_of_the_call(directory):
    pipe = pipeline("text-generation", model=str(directory), max_new_tokens=4, do_sample=False)
    length = len(pipe.tokenizer("The keeper")["input_ids"])

    def new_tokens(**how):
        return len(pipe("The keeper", return_tensors=True, **how)[0]["generated_token_ids"]) - length

    assert new_tokens() == 4
    assert new_tokens(max_new_tokens=2) == 2
    assert new_tokens(max_length=length + 3) == 3
    pipe.generation_config.max_new_tokens = 5
    assert new_tokens() == 5
    assert new_tokens(generation_config=GenerationConfig(max_new_tokens=6)) == 6


def test_nothing_is_said_of_settings_that_nobody_asked_for(pipe):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe("The keeper", **GREEDY)
        pipe("The keeper", num_beams=2, do_sample=False, max_new_tokens=3)
        pipe("The keeper", temperature=0, max_new_tokens=3)
        pipe("The keeper", penalty_alpha=0.6, top_k=4, max_new_tokens=3)
    with pytest.warns(UserWarning, match="top_k .7. does nothing without do_sample"):
        pipe("The keeper", top_k=7, **GREEDY)


def test_lengths_without_room(pipe):
    text = "The keeper of the light " * 12
    count = len(pipe.tokenizer(text)["input_ids"])
    assert count > POSITIONS
    told = rf"input 1 has {count} tokens, but the model has {POSITIONS} positions: .* Shorten it"
    with pytest.raises(ValueError, match=told):
        pipe(["x", text])
    (record,) = pipe("x", details=True, seed=1)  # nobody asked for 256 tokens: as many as there is room for
    assert record["n_tokens"] == len(pipe.tokenizer("x")["input_ids"]) and record["truncated"] is False
    with pytest.raises(ValueError, match=rf"and 90 new ones make .* the model has {POSITIONS} positions"):
        pipe("x", max_new_tokens=90)
    with pytest.raises(ValueError, match=r"max_length is 3: no room"):
        pipe("one two three four five", max_length=3)


def test_the_end_of_a_long_prompt(pipe):
    text = "The keeper of the light " * 12
    ids = pipe.tokenizer(text)["input_ids"]
    how = {"do_sample": False, "max_new_tokens": 10, "return_tensors": True}
    (record,) = pipe(text, handle_long_generation="hole", **how)
    kept = ids[-(POSITIONS - 10) :]
    assert record["generated_token_ids"][: len(kept)] == kept
    assert len(record["generated_token_ids"]) <= POSITIONS
    assert pipe(text, long_input="truncate", **how) == [record]
    (told,) = pipe(text, long_input="truncate", do_sample=False, details=True)
    assert told["truncated"] is True and told["n_tokens"] == len(ids)
    with pytest.raises(ValueError, match="leave no room for input 0"):
        pipe(text, handle_long_generation="hole", max_new_tokens=POSITIONS)
    with pytest.raises(ValueError, match="'hole' or None"):
        pipe(text, handle_long_generation="hols")
    with pytest.raises(ValueError, match="several windows has one end"):
        pipe(text, long_input="window")


def test_truncation_cuts_the_prompt(pipe):
    text = "The keeper of the light " * 12
    (record,) = pipe(text, truncation=True, max_source_length=6, return_tensors=True, **GREEDY)
    assert record["generated_token_ids"][:6] == pipe.tokenizer(text)["input_ids"][:6]
    assert len(record["generated_token_ids"]) <= 14


def test_conversations_are_refused(pipe):
    chat = [{"role": "user", "content": "hello"}]
    for inputs in (chat, [chat, chat], chat[0]):
        with pytest.raises(ValueError, match="template, which is code"):
            pipe(inputs)
    with pytest.raises(ValueError, match="template, which is code"):
        list(pipe(iter([chat])))
    with pytest.raises(ValueError, match="input 1 is 3"):
        pipe(["x", 3], **GREEDY)


def test_what_excludes_each_other(pipe):
    for options in ({"return_text": True}, {"return_tensors": True}):
        with pytest.raises(ValueError, match="mutually exclusive with `return_full_text`"):
            pipe("x", return_full_text=True, **options)
    with pytest.raises(ValueError, match="mutually exclusive with `return_tensors`"):
        pipe("x", return_text=True, return_tensors=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'temprature'. Did you mean 'temperature'"):
        pipe("x", temprature=0.2)
    with pytest.raises(ValueError, match="top_p is 3"):
        pipe("x", top_p=3)
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        pipe("x", max_new_tokens=0)


def test_streams(pipe):
    streamer = TextIteratorStreamer(pipe.tokenizer, skip_prompt=True, skip_special_tokens=True)
    records = pipe(["The keeper", "a dog"], streamer=streamer, return_full_text=False, **GREEDY)
    assert "".join(streamer) == records[0][0]["generated_text"]
    assert "".join(streamer) == records[1][0]["generated_text"]


def test_rules_of_the_caller_see_one_prompt(pipe):
    seen = set()

    def allowed(number, row):
        seen.add(number)
        return [5, 6]

    records = pipe(PROMPTS[:3], prefix_allowed_tokens_fn=allowed, return_tensors=True, return_full_text=None, **GREEDY)
    assert seen == {0}
    assert all(set(own[0]["generated_token_ids"][-8:]) <= {5, 6} for own in records)


def test_models_that_do_not_write(tmp_path, pipe):
    from bothways import BertConfig, BertForMaskedLM

    config = BertConfig(vocab_size=2000, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    with pytest.raises(ValueError, match=r"needs a model with a head for causal-lm.*Model types that write: .*gpt2"):
        pipeline("text-generation", model=BertForMaskedLM(config), tokenizer=pipe.tokenizer)
    BertForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"no weights for the causal-lm head.*Model types that write: .*gpt2"):
        pipeline("text-generation", model=str(tmp_path))


def test_the_task_follows_from_the_model(pipe, directory, tmp_path):
    assert pipeline(model=str(directory)).task == "text-generation"
    pipe.save_pretrained(tmp_path)
    again = pipeline(model=str(tmp_path))
    assert again("The keeper", **GREEDY) == pipe("The keeper", **GREEDY)


@pytest.mark.parametrize(
    "how",
    [
        GREEDY,
        GREEDY | {"return_full_text": False},
        GREEDY | {"num_beams": 3, "num_return_sequences": 3, "return_tensors": True},
        {"max_new_tokens": 10, "num_return_sequences": 2},
        GREEDY | {"prefix": "Once "},
        GREEDY | {"skip_special_tokens": False, "clean_up_tokenization_spaces": False},
        GREEDY | {"return_dict_in_generate": True, "output_scores": True},
        GREEDY | {"handle_long_generation": "hole"},
        GREEDY | {"temperature": None, "repetition_penalty": 1.2, "bad_words_ids": [[5]]},
    ],
)
def test_equal_to_the_reference(directory, pipe, how):
    transformers = pytest.importorskip("transformers")
    transformers.logging.set_verbosity_error()
    theirs = transformers.pipeline("text-generation", model=str(directory), device=-1)
    for text in ("The keeper", "", "a dog, is it ?"):
        torch.manual_seed(1)
        expected = theirs(text, **how)
        torch.manual_seed(1)
        got = pipe(text, **how)
        assert [{k: v for k, v in r.items() if k != "scores"} for r in got] == [
            {k: v for k, v in r.items() if k != "scores"} for r in expected
        ]
        for one, other in zip(got, expected, strict=True):
            if "scores" in other:
                torch.testing.assert_close(torch.tensor(one["scores"]), torch.tensor(other["scores"]))


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 3)), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(1, 200),
)
@settings(deadline=None)
def test_batches_have_every_prompt_once_and_stay_in_bounds(rows, most_rows, most_tokens):
    plans = [
        Plan(prompt=Prompt(ids=[1] * n, number=i, counted=n), most=most, least=0, seed=None)
        for i, (n, most) in enumerate(rows)
    ]
    found = list(batches(plans, most_rows=most_rows, most_tokens=most_tokens))
    assert sorted(i for batch in found for i in batch) == list(range(len(plans)))
    for batch in found:
        assert len(batch) <= most_rows and len({plans[i].most for i in batch}) == 1
        longest = max(len(plans[i].prompt.ids) for i in batch)
        assert len(batch) == 1 or len(batch) * (longest + plans[batch[0]].most) <= most_tokens


def test_rows_lose_their_padding():
    assert without_padding([5, 6, 2, 0, 0], [2], 0) == ([5, 6, 2], True)
    assert without_padding([5, 6, 0, 0], [2], 0) == ([5, 6], False)
    assert without_padding([5, 0, 6, 0], [2, 3], 0) == ([5, 0, 6], False)
    assert without_padding([2, 2, 2], [2], 9) == ([2], True)
