"""Texts of any length: nothing crashes, nothing is lost, and results can say what was done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

import bothways
from bothways.errors import InputError
from bothways.tasks.windows import split
from tests.contract.compare import differences
from tests.contract.models import POSITIONS, make

pytest.importorskip("transformers")

CALLS = {
    "text-classification": ("bert-emotions", lambda pipe, text, **o: pipe([text], **o)[0]),
    "token-classification": ("bert-large-ner", lambda pipe, text, **o: pipe(text, **o)),
    "question-answering": ("distilbert-squad", lambda pipe, text, **o: pipe(question="who?", context=text, **o)),
    "zero-shot-classification": ("roberta-large-mnli", lambda pipe, text, **o: pipe(text, ["sea", "a boat"], **o)),
    "fill-mask": ("distilroberta-base", lambda pipe, text, **o: pipe(f"<mask> {text}", **o)),
    "feature-extraction": ("all-minilm", lambda pipe, text, **o: pipe(text, **o)),
    "multiple-choice": ("bert-base-swag", lambda pipe, text, **o: pipe(question=text, choices=["a", "b c"], **o)),
    "next-sentence-prediction": ("bert-base-uncased", lambda pipe, text, **o: pipe(text, "The cat eats.", **o)),
}
"""For each task a model and how one text is asked about."""

DETAILED = [task for task in CALLS if task != "feature-extraction"]
WORDS = "the cat eats an apple in paris because anna wrote music for a team".split()  # noqa: SIM905
BEYOND = {"token-classification": 2, "text-classification": 2, "fill-mask": 3}
"""Tokens of a row beside those of the text: special ones, and the mask."""


@pytest.fixture(scope="module")
def asked(models):
    pipes = {task: bothways.pipeline(task, model=f"{models}/{name}", device=-1) for task, (name, _) in CALLS.items()}

    def ask(task: str, text: str, **options):
        return CALLS[task][1](pipes[task], text, **options)

    ask.pipes = pipes
    return ask


def texts(min_size: int = 1):
    """From one character to several windows, of any characters."""
    part = st.text(st.characters(exclude_categories=["Cs"]), min_size=min_size, max_size=40)
    return st.builds(lambda one, times, other: one * times + other, part, st.sampled_from([1, 2, 30]), part)


@pytest.mark.parametrize("task", CALLS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts())
@example(text=" ")
@example(text="\n" * 300)
@example(text="x" * 700)
@example(text="é東😀" * 120)
@example(text="\x00 \ufeff\u202e")
def test_any_text_goes_through_with_the_default_options(asked, task, text):
    if task == "multiple-choice" and not text.strip():
        with pytest.raises(InputError, match="input 0: question is blank"):
            asked(task, text)
        return
    result = asked(task, text)
    numbers = list(floats(result))
    assert numbers == [n for n in numbers if np.isfinite(n)]
    for entity in result if task == "token-classification" else []:
        assert 0 <= entity["start"] <= entity["end"] <= len(text)
    if task == "question-answering":
        assert text[result["start"] : result["end"]] == result["answer"]


def floats(value):
    if isinstance(value, float):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from floats(part)


@pytest.mark.parametrize("task", CALLS)
def test_mixed_lengths_together_equal_each_alone(asked, task):
    lengths = [1, 90, 20, 300, 61, 62, 63, 5]
    contents = [" ".join(WORDS[i % len(WORDS)] for i in range(n, 2 * n)) for n in lengths]
    alone = [asked(task, text) for text in contents]
    pipe = asked.pipes[task]
    forms = {
        "question-answering": [{"question": "who?", "context": text} for text in contents],
        "zero-shot-classification": contents,
        "fill-mask": [f"<mask> {text}" for text in contents],
        "multiple-choice": [{"question": text, "choices": ["a", "b c"]} for text in contents],
        "next-sentence-prediction": [(text, "The cat eats.") for text in contents],
    }
    inputs = forms.get(task, contents)
    options = {"candidate_labels": ["sea", "a boat"]} if task == "zero-shot-classification" else {}
    assert differences(alone, pipe(inputs, **options), 1e-5) == []
    assert differences(alone[::-1], pipe(inputs[::-1], **options), 1e-5) == []
    assert differences(alone, list(pipe((item for item in inputs), **options)), 1e-5) == []


@pytest.mark.parametrize("task", DETAILED)
def test_account_of_a_long_text(asked, task):
    text = " ".join(WORDS * 12)
    windowed = account(asked(task, text, details=True))
    cut = account(asked(task, text, details=True, long_input="truncate"))
    short = account(asked(task, "a cat", details=True))
    assert windowed["n_tokens"] == cut["n_tokens"] > POSITIONS
    assert (windowed["truncated"], cut["truncated"], short["truncated"]) == (False, True, False)
    assert windowed["n_windows"] > 2
    assert (cut["n_windows"], short["n_windows"]) == (1, 1)
    if task in BEYOND:
        tokenizer = asked.pipes[task].tokenizer
        pieces = tokenizer.tokenize(f" {text}" if task == "fill-mask" else text)
        assert windowed["n_tokens"] == len(pieces) + BEYOND[task]


def account(result):
    """The counts of a result; where there are several answers they all have the same."""
    row = result[0] if isinstance(result, list) else result
    return {name: row[name] for name in ("n_tokens", "n_windows", "truncated")}


@pytest.mark.parametrize("task", CALLS)
def test_a_long_text_is_refused_with_its_numbers_on_request(asked, task):
    text = " ".join(WORDS * 12)
    with pytest.raises(InputError, match=rf"input 0 has \d+ tokens.*limit is {POSITIONS}"):
        asked(task, text, long_input="error")
    assert asked(task, "a cat", long_input="error") is not None
    with pytest.raises(InputError, match="long_input is 'ignore'; expected one of 'window', 'truncate', 'error'"):
        asked(task, text, long_input="ignore")


def test_scores_of_a_long_text_are_the_mean_over_its_windows_by_tokens(models, asked):
    """The windows are run by the reference model, one at a time."""
    import transformers

    path = f"{models}/bert-emotions"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path).eval()
    text = " ".join(WORDS * 9)
    encoding = transformers.AutoTokenizer.from_pretrained(path)(text)
    ids = np.array(encoding["input_ids"])
    total = np.zeros(4)
    weights = 0
    for places in split(encoding.sequence_ids(0), POSITIONS, 64):
        with torch.no_grad():
            logits = model(torch.tensor(ids[places])[None]).logits[0]
        total += logits.sigmoid().double().numpy() * len(places)  # several labels: sigmoid
        weights += len(places)
    got = {row["label"]: row["score"] for row in asked.pipes["text-classification"](text, top_k=None)}
    expected = {model.config.id2label[i]: float(score) for i, score in enumerate(total / weights)}
    assert differences(expected, got, 1e-5) == []


def knowing(model, head: torch.nn.Linear, first: int, second: int, rows: tuple[int, int]) -> None:
    """Weights by hand: two tokens, and no others, make one output each high; blocks pass everything on unchanged."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(float(name.endswith("LayerNorm.weight")))
        words = model.get_input_embeddings().weight
        words[:, 2:] = torch.randn(words[:, 2:].shape, generator=generator)
        words[first], words[second] = torch.eye(words.shape[1])[:2]
        head.weight[rows[0], 0] = head.weight[rows[1], 1] = 5.0  # about 24 for its token, at most 8 for others
    model.eval()


PLACES = st.integers(1, 49_998)
FEW = settings(
    max_examples=1,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
FILLER = "the a cat dog eats food in at not very book music of for you my no yes wrote this".split()  # noqa: SIM905
NAMES = {"bert": ["Anna", "Lindberg"], "roberta": ["keeper", "lighthouse"], "xlm-roberta": ["keeper", "lighthouse"]}
"""For each kind of tokeniser a person's names, the second in two pieces or more for WordPiece."""


@pytest.fixture(scope="module", params=sorted(NAMES))
def finder(request, tmp_path_factory):
    """A pipeline that knows one person, over one kind of tokeniser."""
    path = make(tmp_path_factory.mktemp("finder") / "model", request.param, "token-classification", ["O", "B-P", "I-P"])
    pipe = bothways.pipeline("ner", model=str(path), device=-1, aggregation_strategy="first")
    pipe.names = NAMES[request.param]

    def first_piece(word: str) -> int:
        encoding = pipe.tokenizer(f"the {word} the")
        return encoding["input_ids"][encoding.char_to_token(4)]

    first, second = map(first_piece, pipe.names)
    assert first != second and not {first, second} & set(map(first_piece, FILLER))
    knowing(pipe.model, pipe.model.classifier, first, second, (1, 2))
    with torch.no_grad():
        pipe.model.classifier.bias[0] = 12.0
    return pipe


@FEW
@given(place=PLACES)
@example(place=49_998)
def test_an_entity_anywhere_in_fifty_thousand_words(finder, place):
    words = (FILLER * 2500)[:50_000]
    words[place : place + 2] = finder.names
    text = " ".join(words)
    start = len(" ".join(words[:place])) + 1
    result = finder(text, details=True)
    found = [(e["entity_group"], e["start"], e["end"]) for e in result["entities"]]
    assert found == [("P", start, start + len(" ".join(finder.names)))]
    assert result["n_tokens"] > 50_000
    assert (result["truncated"], result["n_windows"] > 900) == (False, True)


@pytest.fixture(scope="module")
def knows_answer(models):
    pipe = bothways.pipeline("question-answering", model=f"{models}/distilbert-squad", device=-1)
    first, second = pipe.tokenizer.convert_tokens_to_ids(["london", "berlin"])
    knowing(pipe.model, pipe.model.qa_outputs, first, second, (0, 1))
    with torch.no_grad():
        for name, parameter in pipe.model.named_parameters():
            if name.endswith("layer_norm.weight"):
                parameter.fill_(1.0)
    return pipe


@FEW
@given(place=PLACES)
@example(place=1)
@example(place=49_998)
def test_an_answer_anywhere_in_fifty_thousand_words(knows_answer, place):
    words = (FILLER * 2500)[:50_000]
    words[place : place + 2] = ["London,", "Berlin"]
    context = "  ".join(words)
    start = len("  ".join(words[:place])) + 2
    found = knows_answer(question="where?", context=context, details=True)
    assert (found["start"], found["end"], found["answer"]) == (start, start + 15, "London,  Berlin")
    assert found["score"] > 0.9
    assert (found["truncated"], found["n_windows"] > 900) == (False, True)


def test_limits_come_from_the_model_not_from_the_tokeniser(models, tmp_path):
    """Published directories often say ``model_max_length`` 10 ** 30."""
    import json

    for file in (Path(models) / "distilbert-sst-2").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings_file = tmp_path / "tokenizer_config.json"
    stated = json.loads(settings_file.read_text())
    stated["model_max_length"] = int(1e30)
    settings_file.write_text(json.dumps(stated))
    pipe = bothways.pipeline("sentiment-analysis", model=str(tmp_path), device=-1)
    assert pipe.tokenizer.model_max_length == int(1e30)
    text = "a terrible film about nothing " * 60
    assert pipe(text, details=True)[0]["n_windows"] > 2
    assert pipe(text, truncation=True, details=True)[0]["truncated"]
