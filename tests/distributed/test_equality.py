"""Two processes compute what one does: losses, weights, predictions; they stop, fail and go on together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.distributed import cases
from tests.distributed.launch import ended, start

TOLERANCE = 1e-6  # losses are computed in float32, whatever the model is


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Of two processes."""
    directory = tmp_path_factory.mktemp("two")
    code, out, err = ended(start("-m", "tests.distributed.cases", directory))
    assert code == 0, err
    return torch.load(directory / "answers.pt", weights_only=False) | {"output": out + err}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Of this process."""
    return cases.alike(tmp_path_factory.mktemp("one"))


def test_losses_and_weights_are_those_of_one_process(answers, alone):
    names = [name for name in alone if name.startswith(("fit", "trainer"))]
    assert len(names) == 9
    for name in names:
        two, one = answers["alike"][name], alone[name]
        assert two["steps"] == one["steps"], name
        assert two["losses"] == pytest.approx(one["losses"], abs=TOLERANCE), name
        assert two.get("tokens") == one.get("tokens"), name
        assert two.get("curve", []) == pytest.approx(one.get("curve", []), abs=1e-4), name  # logs are rounded
        start_ = dict(cases.model("tokens" if "tokens" in name or "stream" in name else "texts").named_parameters())
        for parameter, weight in one["weights"].items():
            torch.testing.assert_close(
                two["weights"][parameter], weight, atol=TOLERANCE, rtol=0, msg=f"{name} {parameter}"
            )
        assert any(not torch.equal(start_[p], w) for p, w in one["weights"].items()), name


def test_predictions_come_in_order_none_lost_none_twice(answers, alone):
    names = [name for name in alone if name.startswith("predict")]
    assert len(names) == 4
    for name in names:
        two, one = answers["alike"][name], alone[name]
        assert two["predictions"].shape == one["predictions"].shape
        np.testing.assert_array_equal(two["labels"], one["labels"])
        np.testing.assert_allclose(two["predictions"], one["predictions"], atol=TOLERANCE, rtol=0)
        assert two["metrics"] == pytest.approx(one["metrics"], abs=TOLERANCE), name
    rows = cases.rows("texts", 11)
    np.testing.assert_array_equal(answers["alike"]["predict"]["labels"], [row["labels"] for row in rows])


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(answers):
    for name, (whole, resumed) in answers["resumed"].items():
        assert whole == resumed, name


def test_a_loss_that_is_no_number_is_told_once_with_the_examples_of_its_process(answers):
    first, second = answers["broken"]["nan"]
    assert first.startswith("BothwaysError: the loss is nan at step ") and second.startswith("ToldElsewhereError")
    named = first.partition("(examples ")[2].partition(")")[0].split(", ")
    assert str(cases.POISONED) in named and len(named) == 4
    assert "process 0 failed: the loss is nan" in second


def test_problems_of_one_process_are_problems_of_all(answers):
    problems = answers["broken"]
    assert problems["memory"][0].startswith("OutOfMemoryError: The process holds ")
    assert problems["memory"][1].startswith("ToldElsewhereError: process 0 failed: The process holds")
    assert problems["one"] == [
        "ToldElsewhereError: process 1 failed: no such file: data.csv",
        "FileNotFoundError: no such file: data.csv",
    ]
    assert problems["first"] == ["ValueError: the first one", "ToldElsewhereError: process 0 failed: the first one"]
