"""Training of models that write: features against the padded rectangle, what is written and scored, and whole runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers

import bothways
from bothways.engine.processes import Processes
from bothways.errors import DataError, UsageError
from bothways.tasks.causal_lm import token_blocks
from bothways.tasks.text_pairs import encode_pairs
from bothways.training import train
from bothways.training.features import FeatureSteps
from bothways.training.language_task import LanguageTask
from bothways.training.objectives import CrossEntropy, ModelLoss
from bothways.training.writing import token_nats, written_ids
from bothways.training.writing_features import BlockFeatures, PairFeatures
from bothways.training.writing_task import SummarizationTask, TranslationTask

pytest.importorskip("sacrebleu")
pytest.importorskip("rouge_score")

PIECES = Path(__file__).parents[1] / "tokenizers" / "vocabularies" / "t5" / "spiece.model"
SOURCES = ["the lighthouse keeper", "bread", "a letter every evening. Every morning the boat took it", "wind and sea"]
TARGETS = ["der Leuchtturm", "Brot", "jeden Abend ein Brief", "Wind"]


@pytest.fixture(scope="module")
def t5(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "tiny-t5"
    tokenizer = bothways.T5TokenizerFast(vocab_file=str(PIECES), extra_ids=0)
    torch.manual_seed(0)
    config = bothways.T5Config(
        vocab_size=len(tokenizer),
        d_model=24,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=3,
        dropout_rate=0.0,
        decoder_start_token_id=0,
        task_specific_params={"translation_en_to_de": {"prefix": "in German: "}},
    )
    bothways.T5ForConditionalGeneration(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> Path:
    """Every byte is a token."""
    directory = tmp_path_factory.mktemp("models") / "tiny-gpt2"
    directory.mkdir()
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|endoftext|>"]
    (directory / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    files = {"vocab_file": str(directory / "vocab.json"), "merges_file": str(directory / "merges.txt")}
    torch.manual_seed(0)
    config = bothways.GPT2Config(
        vocab_size=257, n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=256, eos_token_id=256,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.2,
    )  # fmt: skip
    bothways.GPT2LMHeadModel(config).save_pretrained(directory)
    bothways.GPT2TokenizerFast(**files).save_pretrained(directory)
    return directory


def loaded(cls, directory: Path) -> tuple:
    return cls.from_pretrained(directory), bothways.AutoTokenizer.from_pretrained(directory)


def runner_of(model) -> SimpleNamespace:
    return SimpleNamespace(model=model, dtype=torch.float32, group=Processes())


def padded(rows, fill: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.as_tensor(r).long() for r in rows], True, fill)


def test_a_batch_of_pairs_has_the_loss_of_the_padded_rectangle(t5):
    model, tokenizer = loaded(bothways.T5ForConditionalGeneration, t5)
    features = PairFeatures(encode_pairs(tokenizer, SOURCES, TARGETS))
    batch = features.batch([2, 0, 1])
    rows, labels = zip(*((features.input_ids[i], features.labels[i]) for i in (2, 0, 1)), strict=True)
    ids = padded(rows, 0)
    expected = model(input_ids=ids, attention_mask=(ids != 0).long(), labels=padded(labels, -100)).loss
    assert ModelLoss().loss(model, batch, []).item() == pytest.approx(expected.item(), abs=1e-5)
    assert CrossEntropy().loss(model, batch, []).item() == pytest.approx(expected.item(), abs=1e-5)
    assert CrossEntropy(smoothing=0.1).loss(model, batch, []).item() != pytest.approx(expected.item(), abs=1e-3)
    n_labels = sum(map(len, labels))
    assert ModelLoss().items(batch) == CrossEntropy().items(batch) == n_labels
    assert features.length(2) == len(rows[0]) + len(labels[0])
    assert batch.total_tokens == sum(map(len, rows)) + n_labels
    ModelLoss().loss(model, batch, []).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_block_has_the_loss_of_its_sequences_alone(gpt2):
    model, tokenizer = loaded(bothways.GPT2LMHeadModel, gpt2)
    documents = [tokenizer.encode(text) for text in ("abc", "the boat", "a much longer document than a block")]
    blocks = token_blocks(documents, 16, start_id=256, end_id=256)
    features = BlockFeatures(blocks)
    assert len(features) == len(blocks) and features.length(0) == sum(len(blocks.input_ids[i]) for i in blocks.block(0))
    numbers = list(range(len(blocks)))
    batch = features.batch(numbers)
    sums = count = 0.0
    for ids, labels in zip(blocks.input_ids, blocks.labels, strict=True):
        n = int((labels != -100).sum())
        one = torch.from_numpy(ids).long()[None]
        sums += model(input_ids=one, labels=torch.from_numpy(labels)[None]).loss.item() * n
        count += n
    assert ModelLoss().items(batch) == count == blocks.n_predicted
    assert ModelLoss().loss(model, batch, []).item() == pytest.approx(sums / count, abs=1e-5)
    steps = FeatureSteps(features, 4, seed=0, max_tokens=20, items=ModelLoss().items, group=Processes())
    made = [micro for step in steps.steps(0, 0) for micro in step]
    assert sum(micro.items for micro in made) == count and max(micro.tokens for micro in made) <= 20


def test_nats_are_those_of_every_token_once(gpt2):
    model, tokenizer = loaded(bothways.GPT2LMHeadModel, gpt2)
    document = tokenizer.encode("She said good evening to the sea.")
    ids = [256, *document, 256]
    blocks = token_blocks([document, [65]], 16, start_id=256, end_id=256, context=8)
    assert (blocks.owner == 0).sum() > 2
    nats = token_nats(runner_of(model), blocks.input_ids, blocks.labels)
    expected = 0.0
    with torch.no_grad():
        for ids_of, labels in zip(blocks.input_ids, blocks.labels, strict=True):
            shown = torch.log_softmax(model(torch.from_numpy(ids_of).long()[None]).logits[0].double(), -1)
            for place in np.flatnonzero(labels != -100):
                expected -= shown[place - 1, labels[place]].item()
    assert nats.sum() == pytest.approx(expected, abs=1e-3)
    whole = token_nats(runner_of(model), [np.array(ids)[:32]], [np.array([-100, *ids[1:32]])])
    with torch.no_grad():
        loss = model(torch.tensor([ids[:32]]), labels=torch.tensor([ids[:32]])).loss
    assert whole[0] == pytest.approx(31 * loss.item(), rel=1e-5)


def test_each_text_is_written_as_it_would_be_alone(t5):
    model, tokenizer = loaded(bothways.T5ForConditionalGeneration, t5)
    rows = tokenizer(SOURCES)["input_ids"]
    written = written_ids(runner_of(model), rows, max_new_tokens=6)
    for row, own in zip(rows, written, strict=True):
        alone = model.generate(torch.tensor([row]), max_new_tokens=6, do_sample=False)[0].tolist()
        assert own[: len(alone)] == alone and not any(own[len(alone) :])
    assert written_ids(runner_of(model), [], max_new_tokens=6) == []


def parallel(folder: Path, count: int = 30, name: str = "train") -> tuple[Path, Path]:
    source, target = folder / f"{name}.en", folder / f"{name}.de"
    source.write_text("".join(f"{SOURCES[i % 4]} {i}\n" for i in range(count)), encoding="utf-8")
    target.write_text("".join(f"{TARGETS[i % 4]} {i}\n" for i in range(count)), encoding="utf-8")
    return source, target


def test_translation_reads_files_side_by_side(tmp_path, t5):
    source, target = parallel(tmp_path)
    held, _ = parallel(tmp_path, 7, "val")
    options = {"encoding": None, "format": None, "kind": None, "text_column": None, "label_column": None}
    task = TranslationTask.load([source], held, seed=1, target=[target], **options)
    assert (len(task.split.train), len(task.split.evaluation), task.split.leaks) == (30, 7, 7)
    assert task.gold()[:2] == ["der Leuchtturm 0", "Brot 1"] and task.split.columns == {"source": "en", "target": "de"}
    alone = TranslationTask.load([source], None, seed=1, target=target, **options)
    assert (len(alone.split.train), len(alone.split.evaluation), alone.split.leaks) == (24, 6, 0)
    model, tokenizer = loaded(bothways.T5ForConditionalGeneration, t5)
    learned = task.training_set(tokenizer, 8, model.config)
    assert task.prefix == "in German: "
    assert learned.notes[0].startswith("30 of 30 sources to train on are longer than 8 tokens")
    assert task.learned(None)["task_specific_params"]["translation_en_to_de"] == {"prefix": "in German: "}
    assert task.baseline(0).predictions.labels[1] == "bread 1"
    with pytest.raises(UsageError, match="--kind is for text classification; the data of translation has no labels"):
        TranslationTask.load([source], None, seed=1, target=target, **{**options, "kind": "single"})


def test_summaries_come_from_columns(tmp_path):
    file = tmp_path / "a.csv"
    body = "The boat came. It took a letter. Nobody read it."
    file.write_text("article,highlights\n" + "".join(f'"{body} {i}",The boat came. {i}\n' for i in range(10)))
    task = SummarizationTask.load([file], None, seed=1)
    assert (len(task.split.train), len(task.split.evaluation)) == (8, 2)
    baseline = task.baseline(0)
    assert baseline.name == "first sentence" and set(baseline.predictions.labels) == {"The boat came."}
    again = SummarizationTask.load([file], None, seed=1, text_column="highlights", label_column="article")
    assert again.gold()[0].startswith("The boat came. It took")


@pytest.mark.parametrize("task_class", [TranslationTask, SummarizationTask])
def test_long_sources_are_read_in_windows(tmp_path, t5, task_class):
    model, tokenizer = loaded(bothways.T5ForConditionalGeneration, t5)
    long = " ".join(["Every morning the boat took a letter."] * 90)
    file = tmp_path / "a.jsonl"
    rows = [{"source": text, "target": "x"} for text in ("short", long, "bread and sea")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = task_class.load_evaluation(file, model.config, prefix="say: ")
    task.longest = 3
    encoded = task.encode_evaluation(tokenizer, None)
    assert encoded.long == [1] and task.windowed(encoded) == 1
    read: list[int] = []

    def write(runner, sources, *, max_new_tokens):
        read.extend(map(len, sources))
        return [tokenizer.encode(f"w{len(read) - len(sources) + i}") for i in range(len(sources))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bothways.training.writing_task.written_ids", write)
        answers = task.answer(runner_of(model), encoded).labels
    assert max(read) <= 512 and len(encoded.input_ids[1]) > 512
    assert answers[0] == "w0" and answers[2] == "w1"
    windows = len(read) - 2 - (task_class is SummarizationTask)
    assert windows == 2 + (len(encoded.input_ids[1]) > 1000) and sum(read) >= len(encoded.input_ids[1])
    joined = " ".join(f"w{2 + i}" for i in range(windows))
    assert answers[1] == (joined if task_class is TranslationTask else f"w{2 + windows}")


def documents(folder: Path, count: int = 24) -> Path:
    file = folder / "docs.txt"
    file.write_text("\n\n".join(f"{SOURCES[i % 4]} {i}" for i in range(count)))
    return file


def test_language_is_scored_in_bits_per_byte(tmp_path, gpt2):
    model, tokenizer = loaded(bothways.GPT2LMHeadModel, gpt2)
    task = LanguageTask.load([documents(tmp_path)], None, seed=1)
    assert (len(task.split.train), len(task.split.evaluation)) == (23, 1)
    assert task.limit(None, 32) == 32
    encoded = task.encode_evaluation(tokenizer, 32)
    found = task.answer(runner_of(model), encoded)
    nats = token_nats(runner_of(model), encoded.input_ids, encoded.labels).sum()
    text = task.split.evaluation[0].text
    metrics = task.metrics(found)
    assert metrics["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(text))
    assert metrics["tokens"] == len(text) + 1  # every byte and the end
    assert metrics["perplexity"] == pytest.approx(math.exp(nats / (len(text) + 1)))
    assert task.quick_score(runner_of(model), encoded) == pytest.approx(1 - metrics["bits_per_byte"] / 8)
    assert "bits per byte" in task.remarks(metrics)[0]
    with pytest.raises(UsageError, match="--label-column is for labelled texts"):
        LanguageTask.load([documents(tmp_path)], None, seed=1, label_column="label")
    one = tmp_path / "one.txt"
    one.write_text("a single document")
    with pytest.raises(DataError, match="1 documents, in 1 groups .* too few .* ends at a blank line"):
        LanguageTask.load([one], None, seed=1)


def test_a_translation_run(tmp_path, t5):
    source, target = parallel(tmp_path)
    lines: list[str] = []
    outcome = train(
        source, tmp_path / "out", task="translation", target=target, model=t5, epochs=1, batch_size=8,
        learning_rate=5e-3, label_smoothing=0.1, say=lines.append,
    )  # fmt: skip
    assert lines[0].startswith("24 texts to train on, 6 held out (translations)")
    assert {"chrf", "bleu", "chrf_signature"} <= set(outcome.metrics)
    assert outcome.comparison.rows[1].name == "untranslated source"
    manifest = json.loads((tmp_path / "out" / "bothways.json").read_text())
    assert manifest["task"] == "translation" and manifest["options"]["target"] == [str(target)]
    assert f"--target {target}" in manifest["command"] and (tmp_path / "out" / "report.html").is_file()
    model, tokenizer = loaded(bothways.T5ForConditionalGeneration, tmp_path / "out")
    assert model.config.task_specific_params["translation"] == {"prefix": "in German: "}
    assert model.generate(**tokenizer("bread", return_tensors="pt"), max_new_tokens=4).shape[1] >= 2


def test_a_language_run(tmp_path, gpt2):
    lines: list[str] = []
    outcome = train(
        documents(tmp_path), tmp_path / "out", task="text-generation", model=gpt2, epochs=1, batch_size=4,
        learning_rate=1e-2, say=lines.append,
    )  # fmt: skip
    assert any("steps of 4 blocks" in line for line in lines)
    assert outcome.comparison.metric == "compression" and outcome.comparison.rows[1].name == "pairs of bytes, counted"
    assert outcome.metrics["bits_per_byte"] < 8 * 1.2
    assert bothways.GPT2LMHeadModel.from_pretrained(tmp_path / "out").can_generate()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "text-classification", "target": "x"}, "--target is for tasks that write .*, not for text-classific"),
        ({"task": "text-generation", "prefix": "x"}, "--prefix is for tasks that write"),
        ({"task": "translation", "target": 3}, r"target is 3 \(int\); expected the path of a file"),
        ({"task": "translation", "freeze": True}, "--freeze trains the head alone, and translation needs all"),
        ({"task": "text-generation", "label_smoothing": 0.1}, "--label-smoothing is for one class"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, t5, options, message):
    source, target = parallel(tmp_path)
    source = documents(tmp_path) if options["task"] == "text-generation" else source
    given = {"target": target} if options["task"] == "translation" and "target" not in options else {}
    with pytest.raises(UsageError, match=message):
        train(source, tmp_path / "out", model=t5, **{**given, **options})
