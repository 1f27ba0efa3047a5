"""compare, diff and advise as a user runs them."""

from __future__ import annotations

import json

import pytest

from tests.comparing.conftest import contest  # noqa: F401 - a fixture
from tests.comparing.test_advise import FAST


def test_compare_prints_the_table_and_writes_page_and_json(command, contest, tmp_path):  # noqa: F811
    page, numbers = tmp_path / "models.html", tmp_path / "models.json"
    code, out, err = command(
        "compare", contest / "first", contest / "large", contest / "texts.csv", "--html", page, "--json", numbers
    )
    assert code == 0, err
    assert "first" in out and "Pareto front" in out and "texts/s" in out and "100.0 %" in out
    table = json.loads(numbers.read_text())
    assert [row["name"] for row in table["rows"]] == ["first", "large"] and table["n"] == 60
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_compare_needs_a_model_and_a_file(command, contest):  # noqa: F811
    code, _, err = command("compare", contest / "texts.csv")
    assert code == 2 and "compare needs one model or more, and then a labelled file" in err
    code, _, err = command("compare", contest / "first", contest / "texts.csv", "--json", contest / "texts.csv")
    assert code == 2 and "is the file that is read" in err


def test_diff_is_for_ci(command, contest, tmp_path):  # noqa: F811
    models, numbers = (contest / "first", contest / "opposite"), tmp_path / "diff.json"
    code, out, _ = command("diff", contest / "first", contest / "twin", contest / "texts.csv", "--budget", 0)
    assert code == 0 and out.splitlines()[-1].startswith("PASS: first → twin")
    code, out, _ = command("diff", *models, contest / "texts.csv", "--examples", 2, "--json", numbers)
    assert code == 1 and out.splitlines()[-1].startswith("FAIL: first → opposite")
    assert "Newly wrong: 60, shown 2" in out and "label: " in out and "site: " in out
    assert json.loads(numbers.read_text())["passed"] is False
    code, *_ = command("diff", *models, contest / "texts.csv", "--budget", 1, "--max-regressions", 59)
    assert code == 1


def test_advise_shows_its_arithmetic(command, monkeypatch, tmp_path):
    asked = {}

    def measure(**options):
        asked.update(options)
        return FAST

    monkeypatch.setattr("bothways.comparing.advise.measure_machine", measure)
    numbers = tmp_path / "advice.json"
    words = ("--classes", 50, "--documents", 100_000, "--latency-ms", 20, "--no-gpu", "--json", numbers)
    code, out, err = command("advise", *words)
    assert code == 0, err
    assert asked == {"length": 128, "use_gpu": False, "precision": "auto"}
    assert "Take microsoft/MiniLM-L12-H384-uncased" in out and "GFLOP" in out and "First: the baseline" in out
    advice = json.loads(numbers.read_text())
    assert advice["options"][advice["choice"]]["candidate"]["layers"] == 12


@pytest.mark.parametrize("words", [("--classes", 5), ("--classes", 0, "--documents", 5)])
def test_advise_refuses_what_it_cannot_answer(command, words):
    code, _, err = command("advise", *words)
    assert code == 2 and err
