"""Training programs of version 4 run here with another import, and report what they report under the reference."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

from tests.contract.compare import differences
from tests.contract.programs import programs, run_quietly

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pytest.importorskip("seqeval")

SOURCES = Path(__file__).parent / "trainer_programs"
THEIRS = programs("transformers", sources=SOURCES)
OURS = programs("bothways", sources=SOURCES)

ROUNDED = {"loss": 1.5e-4}
"""Losses in the log have four decimals."""

NOT_THERE = {
    "only_here.evaluation_strategy": (None, TypeError),
    "only_here.a_loss_without_further_arguments": (True, TypeError),
    "only_here.a_batch_as_the_data_set": ((4, (8, 2)), ValueError),
    "only_here.an_old_name_of_a_path": (2, ImportError),
    "only_here.half_precision_without_a_gpu": ((True, ["torch.float32"]), ValueError),
}
"""What each gives here (None: looked at in the test), and the error of the reference."""

OTHERWISE = {"only_here.a_finished_run_resumed": ([2, 2], [2, 3])}
"""What each gives here, and there."""

NOT_YET = {
    "habits.layers_of_distilbert_frozen_by_name": "parameters of DistilBERT have the house's names, which are BERT's",
}
"""Programs that do not give the same here, and why."""


@pytest.fixture(scope="module", autouse=True)
def as_in_a_program(models):
    """The reference collects all garbage when a run begins: let it not look at two libraries each time. Silenced, it
    takes its other callback for the progress, which removes ``total_flos`` from what ``train`` returns.
    """
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_warning()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    transformers.logging.set_verbosity(before)


@pytest.fixture(autouse=True)
def of_its_own(tmp_path, monkeypatch):
    """Programs write beside themselves: each pair runs in a new directory."""
    monkeypatch.chdir(tmp_path)


def run(program, models, name):
    directory = Path(name)
    directory.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        return run_quietly(program, models)


def cases():
    for name in OURS:
        marks = [pytest.mark.xfail(reason=NOT_YET[name], strict=True)] if name in NOT_YET else []
        if name not in {*NOT_THERE, *OTHERWISE}:
            yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", cases())
def test_the_same_report(models, name):
    expected = run(THEIRS[name], models, "theirs")
    assert differences(expected, run(OURS[name], models, "ours"), 1e-5, coarser=ROUNDED) == []


@pytest.mark.parametrize("name", NOT_THERE)
def test_what_the_reference_refuses_runs_here(models, name):
    expected, error = NOT_THERE[name]
    if name == "only_here.half_precision_without_a_gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(error):
        run(THEIRS[name], models, "theirs")
    result = run(OURS[name], models, "ours")
    if name == "only_here.evaluation_strategy":
        keys, normalised = result
        assert normalised and [{"epoch", "eval_loss"} <= set(entry) for entry in keys] == [True, True, False]
    else:
        assert result == expected


@pytest.mark.parametrize("name", OTHERWISE)
def test_bugs_of_the_reference(models, name):
    ours, theirs = OTHERWISE[name]
    assert run(THEIRS[name], models, "theirs") == theirs
    assert run(OURS[name], models, "ours") == ours


def test_programs_of_every_kind_are_there():
    assert len(THEIRS) == len(OURS) >= 90
