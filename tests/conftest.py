"""A tiny model directory and small data files, all made here."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:  # workers that each take all cores would wait for one another
    # before torch, which reads it once; processes that a test starts get it too, and so have the same sums to the bit
    os.environ["OMP_NUM_THREADS"] = "1"
import torch  # noqa: E402

settings.register_profile("bothways", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on busy machines
settings.load_profile("bothways")

for probe in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
    # the same numbers on every machine: bfloat16 is only where a test asks for it
    setattr(torch.cpu, probe, lambda: False)

WORDS = "good bad fine awful film book play the a was it very not really story plot actor and but".split()  # noqa: SIM905


def pytest_runtest_setup() -> None:
    """The reference's training arguments leave their precision in the environment, where other tests would take it."""
    for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A body without a head, with a tokeniser, as a checkpoint from elsewhere would come."""
    from bothways import BertConfig, BertModel, BertTokenizerFast

    directory = tmp_path_factory.mktemp("tiny") / "tiny-bert"
    directory.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(f"##{w}" for w in "sedy"), *"bcdefghijk"]
    (directory / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=32,
        initializer_range=0.1,
    )
    BertModel(config).save_pretrained(directory)
    BertTokenizerFast(vocab_file=str(directory / "vocab.txt")).save_pretrained(directory)
    return directory


def sentences(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Texts whose label follows from one of four words."""
    generator = random.Random(seed)
    rows = []
    for i in range(count):
        label, word = generator.choice([("pos", "good"), ("pos", "fine"), ("neg", "bad"), ("neg", "awful")])
        rest = generator.sample(WORDS[4:], 5)
        rows.append((" ".join([*rest[:2], word, *rest[2:], "bcdefghijk"[i % 10], "bcdefghijk"[i // 10 % 10]]), label))
    return rows


@pytest.fixture(scope="session")
def reviews(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in sentences(120)))
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory, tiny_model, reviews) -> Path:
    """The result of one real run of the command."""
    from bothways.cli import run

    output = tmp_path_factory.mktemp("runs") / "reviews-model"
    options = ["--model", str(tiny_model), "--epochs", "8", "--learning-rate", "5e-3", "--batch-size", "16"]
    assert run(["train", str(reviews), "--output", str(output), *options]) == 0
    return output


@pytest.fixture
def command(capfd):
    """Run the command line in this process: (exit code, standard output, standard error)."""
    from bothways.cli import run

    def call(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run([str(word) for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


def json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]
