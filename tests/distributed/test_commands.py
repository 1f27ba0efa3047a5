"""``torchrun -m bothways train``: the first process speaks and writes, a signal stops all, an error ends all."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from bothways.checkpoints.weights import open_weights
from bothways.cli import run
from bothways.engine.checkpoint_store import CheckpointStore
from tests.conftest import sentences
from tests.distributed.launch import LIMIT, ended, start

OPTIONS = ["--precision", "float32", "--seed", "3"]


@pytest.fixture(scope="module")
def plain_model(tiny_model, tmp_path_factory) -> Path:
    """Without dropout, which each process draws for itself."""
    import shutil

    directory = Path(shutil.copytree(tiny_model, tmp_path_factory.mktemp("plain") / "tiny-bert"))
    config = json.loads((directory / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def weights(directory: Path) -> dict[str, torch.Tensor]:
    with open_weights(directory) as stored:
        return {name: stored.load(name) for name in stored.names()}


def test_a_signal_stops_all_and_the_command_goes_on_to_what_one_process_gets(plain_model, tmp_path, capfd):
    """torchrun passes the signal on while steps are made; one process says so, and one writes."""
    data = tmp_path / "data.csv"
    data.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in sentences(240)))
    words = ["train", data, "--model", plain_model, "--epochs", 3, "--learning-rate", 1e-4, *OPTIONS]
    two, one, unfinished = tmp_path / "two", tmp_path / "one", tmp_path / "two.unfinished"
    own = [*words, "--batch-size", 2, "--checkpoint-steps", 20, "-o", two]
    process = start("-m", "bothways", *own)
    wait_for(process, lambda: any(unfinished.glob("checkpoint-*")))
    process.send_signal(signal.SIGTERM)
    code, _, err = ended(process)
    assert code != 0 and err.count("Stopped after step ") == 1, err
    step = int(err.partition("Stopped after step ")[2].partition(" of ")[0])
    assert CheckpointStore(unfinished).newest().step == step < 144 and f"checkpoint-{step} is saved" in err
    assert "Continue with: bothways train" in err and not two.exists()

    code, out, err = ended(start("-m", "bothways", *own))
    assert code == 0 and err.count(f"Going on from step {step}") == 1, err
    assert out.count("Use it:") == 1 and err.count("to train on") == 1 and err.count("Training 3 epochs") == 1
    assert run([str(word) for word in [*words, "--batch-size", 4, "-o", one]]) == 0
    found = [json.loads((directory / "bothways.json").read_text())["training"] for directory in (two, one)]
    assert [training["processes"] for training in found] == [2, 1]
    assert [training["steps"] for training in found] == [144, 144]
    curves = [[record["train_loss"] for record in training["history"]] for training in found]
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    theirs = weights(one)
    for name, tensor in weights(two).items():
        # a key's bias has a gradient of 0 but for rounding, which Adam divides by its own size
        if "key.bias" not in name:
            torch.testing.assert_close(tensor, theirs[name], atol=1e-3, rtol=0, msg=name)
    assert not list(tmp_path.glob("*.unfinished"))


def wait_for(process: subprocess.Popen[str], there: Callable[[], bool]) -> None:
    for _ in range(int(LIMIT * 10)):
        if there():
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            raise AssertionError(f"it ended before it was to: {process.communicate()}")
    process.terminate()
    raise AssertionError(f"nothing came in {LIMIT:.0f} s: {process.communicate()}")


def test_an_error_in_one_process_ends_both(tmp_path):
    """One that is not foreseen, in the midst of steps: the other waits for it and is told that it is gone.

    Before that, a wrong option: both see it, one says so.
    """
    script = tmp_path / "program.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.distributed import cases\n"
        "from bothways.engine.processes import processes\n"
        "from bothways.cli import run\n"
        "assert run(['train', 'nothing.csv', '-o', sys.argv[2], '--epochs', '0']) == 2\n"
        "made = cases.model('texts'); calls = []\n"
        "def broken(*args, forward=made.forward, **more):\n"
        "    calls.append(1)\n"
        "    if processes().rank == 1 and len(calls) == 3:\n"
        "        raise ZeroDivisionError('only here')\n"
        "    return forward(*args, **more)\n"
        "made.forward = broken\n"
        "cases.trainer(made, Path(sys.argv[2]), cases.rows('texts', 19), 4).train()\n"
    )
    code, _, err = ended(start(script, Path(__file__).parents[2], tmp_path / "out"))
    assert err.count("error: epochs is 0, expected a whole number from 1") == 1, err
    assert code != 0 and "ZeroDivisionError: only here" in err
    assert "process 0 lost the others that train with it: one has ended" in err or "SIGTERM" in err
