"""What is loaded at the start: nothing heavy before it is needed. Times are measured in ``benchmarks/``, not here."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = {
    "torch", "transformers", "numpy", "scipy", "sklearn", "tokenizers", "safetensors", "huggingface_hub", "jinja2",
    "pyarrow", "pandas",
}  # fmt: skip
FRONT = {"typer", "click", "rich"}  # for the command line, not for a program that imports the library


def loaded_after(program: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after ``program``, apart from those it starts with."""
    lines = ["import sys", "before = set(sys.modules)", program]
    lines.append("print('\\nLOADED', *{name.partition('.')[0] for name in set(sys.modules) - before})")
    # isolated from the user's site hooks, which may import what they like
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_importing_the_library_loads_nothing_else():
    loaded = loaded_after("import bothways; dir(bothways); bothways.__version__")
    assert "bothways" in loaded
    assert not loaded & (HEAVY | FRONT)


def test_importing_the_pipelines_and_the_resolver_loads_no_torch():
    loaded = loaded_after("import bothways.pipelines, bothways.resolver, bothways.tokenizers, bothways.training")
    assert not loaded & {"torch", "transformers", "sklearn", "scipy"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["models", "--help"]])
def test_help_loads_nothing_heavy(words):
    loaded = loaded_after(f"import bothways.cli; assert bothways.cli.run({words!r}) == 0")
    assert "bothways" in loaded
    assert not loaded & HEAVY


def test_a_wrong_use_is_answered_before_anything_heavy_is_loaded():
    loaded = loaded_after("import bothways.cli; assert bothways.cli.run(['train', '--epochs', 'many']) == 2")
    assert not loaded & HEAVY


@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_an_answer_needs_no_compiler_and_no_statistics(tiny_model, tmp_path, kind):
    """What a prediction from a fresh start loads: torch's compiler, which it may draw with, is 2 s of imports."""
    from bothways import BertForSequenceClassification, add_lora, save_adapter

    model = BertForSequenceClassification.from_pretrained(tiny_model)
    if kind == "model":
        model.save_pretrained(tmp_path / "model")
        for file in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
            (tmp_path / "model" / file).write_bytes((tiny_model / file).read_bytes())
    else:
        add_lora(model, r=2)
        save_adapter(model, tmp_path / "model")
    words = ["predict", str(tmp_path / "model"), "a good film"]
    lines = [f"import bothways.cli; assert bothways.cli.run({words!r}) == 0", "import torch"]
    loaded = loaded_after("\n".join([*lines, "assert 'torch._dynamo' not in sys.modules"]))
    assert "torch" in loaded and not loaded & {"transformers", "sklearn", "scipy", "pandas", "pyarrow", "sympy"}
