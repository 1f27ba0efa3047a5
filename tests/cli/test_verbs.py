"""The verbs as a whole: which there are, and that one does not load the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bothways.cli import VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does(command, verb):
    code, out, err = command(verb, "--help")
    assert code == 0 and err == "" and f" {verb} " in out.splitlines()[0]


def test_all_verbs_stand_in_the_help(command):
    code, out, _ = command("--help")
    assert code == 0
    assert [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line[2:3].strip()] == list(VERBS)


def test_without_words_the_help_is_shown_and_called_no_error(command):
    code, out, err = command()
    assert (code, out) == (2, "") and err.startswith("Usage: ") and "verify-resume" in err


def test_every_file_of_this_folder_that_has_a_verb_is_registered():
    import bothways.cli

    texts = {file.stem: file.read_text(encoding="utf-8") for file in Path(bothways.cli.__file__).parent.glob("*.py")}
    found = {name for name, text in texts.items() if f"def {name}_command(" in text or f"{name}_app = " in text}
    assert found == {verb.replace("-", "_") for verb in VERBS}


def test_one_verb_does_not_load_the_others():
    program = (
        "import sys\n"
        "from bothways.cli import run\n"
        "assert run(['models', '--help']) == 0\n"
        "print(*(name for name in sys.modules if name.startswith('bothways.cli.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "bothways.cli.models" in loaded and not loaded & {"bothways.cli.generate", "bothways.cli.pretrain"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_wait_briefly_unless_the_user_says_how(given, expected):
    program = (
        "import atexit, os, sys\n"
        "from bothways.cli import main\n"
        "atexit.register(lambda: print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules))\n"
        "main(['--version'])\n"
    )
    environment = {name: os.environ[name] for name in os.environ if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"{expected} False"  # torch was not loaded before


@pytest.mark.parametrize(
    ("verb", "given", "expected"),
    [("train", {}, "128 128"), ("pretrain", {"LRU_CACHE_CAPACITY": "7"}, "7 128"), ("predict", {}, "128 128")],
)
def test_commands_keep_few_kernels_unless_the_user_says_how_many(verb, given, expected):
    names = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    program = (
        "import atexit, os, sys\n"
        "from bothways.cli import main\n"
        f"atexit.register(lambda: print(*map(os.environ.get, {names}), 'torch' in sys.modules))\n"
        f"main(['{verb}', '--help'])\n"
    )
    environment = {name: os.environ[name] for name in os.environ if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"{expected} False"
