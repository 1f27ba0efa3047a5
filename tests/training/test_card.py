"""The card of a run: made from the manifest, letter by letter, and what it warns of."""

import copy
import json

import numpy as np
import pytest

from bothways.training.card import card, failure_checks, plain
from bothways.training.evidence import mean_distance, vocabulary_shift


@pytest.fixture
def manifest(trained):
    return json.loads((trained / "bothways.json").read_text("utf-8"))


def test_the_card_is_made_from_the_manifest(trained, manifest):
    page = (trained / "README.md").read_text("utf-8")
    assert page == card(manifest, trained.name)
    score = manifest["comparison"]["rows"][-1]["scores"][0]["interval"]
    assert f"{100 * score['estimate']:.1f} ({100 * score['low']:.1f} to {100 * score['high']:.1f})" in page
    assert manifest["command"] in page
    example = manifest["evidence"]["example"]
    assert f"input_ids: {' '.join(map(str, example['input_ids']))}" in page and example["tokens"][0] == "[CLS]"
    assert "README.md" in manifest["files"]


def test_nothing_in_a_card_is_markup(manifest):
    manifest = copy.deepcopy(manifest)
    manifest["comparison"]["rows"][-1]["name"] = "<script>|`x`"
    manifest["evidence"]["example"]["text"] = "```\n# not a heading"
    page = card(manifest, "a_b*c")
    assert "# a\\_b\\*c" in page and "<script>" not in page and "&lt;script&gt;\\|\\`x\\`" in page
    assert "````text\n```\n# not a heading" in page


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("vocabulary", "unknown_tokens"), 0.2, "**Wrong tokeniser?** 20.0% of the tokens are unknown"),
        (("vocabulary", "pieces_per_word"), 4.0, "**Wrong language or field?** A word takes 4.0 pieces"),
        (("vocabulary", "new_words"), 0.9, "**Other words.** 90.0% of the words it was judged on"),
        (("embedding",), {"texts": 50, "distance": 2.0, "expected": 0.5, "p_value": 0.002}, "**Other texts.**"),
        (("embedding",), {"texts": 50, "distance": 0.5, "expected": 0.5, "p_value": 0.4}, "are like those it learned"),
    ],
)
def test_what_could_be_wrong(manifest, path, value, expected):
    facts = manifest["evidence"]
    for name in path[:-1]:
        facts = facts[name]
    facts[path[-1]] = value
    assert sum(expected in line for line in failure_checks(manifest)) == 1


def test_lengths_are_told(manifest):
    assert any("No text is longer than the 32 tokens" in line for line in failure_checks(manifest))
    manifest["data"] |= {"cut_training_texts": 7, "windowed_evaluation_texts": 3}
    told = "Of 7 training examples only the first 32 tokens were read; 3 evaluation examples were read in several"
    assert any(line.startswith(told) for line in failure_checks(manifest))


def test_a_manifest_without_evidence_has_a_card(manifest):
    page = card({**manifest, "evidence": None}, "older")
    assert "There is no text to show." in page and "No text is longer" in page


def test_new_words_beside_what_was_to_be_expected():
    class Letters:
        unk_token_id = 0

        def __call__(self, text, **_):
            return {"input_ids": [0 if letter == "?" else 1 for letter in text.replace(" ", "")]}

    learned = ["red green blue"] * 10
    found = vocabulary_shift(learned, ["red new??"], Letters())
    assert found["new_words"] == 0.5 and found["expected_new_words"] == 0.0
    assert found["unknown_tokens"] == pytest.approx(2 / 8) and found["pieces_per_word"] == 4.0
    assert vocabulary_shift(learned, ["…"], Letters()) is None


def test_the_distance_of_means():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(60, 8)), rng.normal(size=(60, 8))
    same, moved = mean_distance(one, other), mean_distance(one, other + 1.0)
    assert same["p_value"] > 0.05 and moved["p_value"] == pytest.approx(1 / 401)
    assert moved["distance"] == pytest.approx(float(np.linalg.norm(one.mean(0) - other.mean(0) - 1.0)))


def test_plain():
    assert plain(" a\n|b| *c* <d>") == "a \\|b\\| \\*c\\* &lt;d&gt;"
