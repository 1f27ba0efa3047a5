"""What a ``Trainer`` does besides its steps: batch sizes found, noise, counted tokens, kept checkpoints."""

from __future__ import annotations

import logging
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

import bothways
from bothways.errors import InputError, OutOfMemoryError, UsageError
from bothways.trainer.batch_size import is_out_of_memory
from bothways.trainer.callbacks import TensorBoardCallback
from bothways.trainer.compiled import compiled
from bothways.trainer.noise import noisy_embeddings
from tests.trainer.small import NUMBERS, WORDS, Net, arguments, bert, equal, padded, weights


@pytest.fixture(autouse=True)
def of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Narrow(bothways.Trainer):
    """Has room for two rows; a larger batch fails in the second step, when weights have changed already."""

    problem: BaseException = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
    room = 2

    def compute_loss(self, model, inputs, **kwargs):
        if len(inputs["x"]) > self.room and self.state.global_step >= 1:
            raise self.problem
        return super().compute_loss(model, inputs, **kwargs)


@pytest.mark.parametrize("own_optimizer", [False, True])
@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError("no room"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_all_begins_again(problem, own_optimizer):
    def run(kind, **settings):
        model = Net()
        own = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9) if own_optimizer else None
        args = arguments(max_steps=6, learning_rate=0.1, logging_steps=1, **settings)
        trainer = kind(model, args, train_dataset=NUMBERS, optimizers=(own, None))
        trainer.train()
        return trainer, weights(model)

    class Fails(Narrow):
        pass

    Fails.problem = problem
    found, after = run(Fails, per_device_train_batch_size=8, auto_find_batch_size=True)
    expected, same = run(bothways.Trainer, per_device_train_batch_size=2)
    assert equal(after, same)
    assert found.state.train_batch_size == 2 and found.state.global_step == 6
    assert [entry.get("loss") for entry in found.state.log_history] == [
        e.get("loss") for e in expected.state.log_history
    ]
    with pytest.raises(type(problem)):
        run(Fails, per_device_train_batch_size=8)


def test_one_row_that_does_not_fit_is_an_error():
    class Never(Narrow):
        room = 0

    with pytest.raises(torch.OutOfMemoryError):
        Never(Net(), arguments(max_steps=6, auto_find_batch_size=True), train_dataset=NUMBERS).train()


def test_what_is_out_of_memory():
    assert not is_out_of_memory(OutOfMemoryError("the limit of 2GB is reached"))
    assert not is_out_of_memory(RuntimeError("size mismatch"))


@pytest.mark.parametrize("form", ["packed", "padded"])
def test_noise_on_word_vectors_is_of_the_paper_s_size(form):
    """Up to alpha / sqrt(L E), L the tokens of each sequence without padding."""
    model = bert().train()
    rows = padded(WORDS)
    seen = []
    if form == "packed":
        words = model.get_input_embeddings()
        run = lambda: model(rows["input_ids"], rows["attention_mask"])  # noqa: E731
        lengths = torch.tensor([n for n in range(3, 9) for _ in range(n)])[:, None]
    else:
        model = words = torch.nn.Embedding(30, 16)
        model.get_input_embeddings = lambda: model
        run = lambda: model(rows["input_ids"])  # noqa: E731
        lengths = torch.tensor(8)
    with noisy_embeddings(model, 5.0):
        handle = words.register_forward_hook(lambda module, ids, out: seen.append((ids[0], out.detach())))
        for _ in range(60):
            run()
        model.eval()
        run()
        handle.remove()
    noise = torch.stack([(out - words.weight[ids]) for ids, out in seen[:-1]]).detach() * (lengths * 16).sqrt() / 5.0
    assert noise.abs().max() <= 1 + 1e-4 and noise.abs().max() > 0.99
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1 / math.sqrt(3)) < 0.01
    spread = noise.transpose(0, -1).flatten(0, -2) if form == "padded" else noise.abs().amax((0, 2))
    assert form == "padded" or (spread > 0.95).all()  # short and long sequences alike, each in its own measure
    ids, out = seen[-1]
    assert torch.equal(out, words.weight[ids])


def test_noise_changes_training_and_is_gone_afterwards():
    def run(alpha):
        model = bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        args = arguments(neftune_noise_alpha=alpha, learning_rate=1e-2)
        bothways.Trainer(model, args, train_dataset=WORDS, data_collator=padded).train()
        hooks = [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]
        assert not hooks
        return weights(model)

    none, zero, some, again = run(None), run(0), run(5.0), run(5.0)
    assert equal(none, zero) and equal(some, again) and not equal(none, some)
    with pytest.raises(UsageError, match="Net has not"):
        bothways.Trainer(Net(), arguments(neftune_noise_alpha=5.0), train_dataset=NUMBERS).train()


def test_evaluation_in_bfloat16_gives_the_weights_back():
    model = bert()
    model.prepare_for_inference()
    before = weights(model)
    trainer = bothways.Trainer(model, arguments(bf16_full_eval=True), eval_dataset=WORDS, data_collator=padded)
    seen = []
    model.classifier.register_forward_hook(lambda module, inputs, out: seen.append(out.dtype))
    low = trainer.predict(WORDS)
    assert seen == [torch.bfloat16] and equal(weights(model), before)
    expected = bert().eval().to(torch.bfloat16)(**padded(WORDS))
    assert low.metrics["test_loss"] == pytest.approx(expected.loss.item())
    assert torch.equal(torch.from_numpy(low.predictions), expected.logits.float())


def test_evaluation_in_bfloat16_does_not_touch_training():
    found = []
    for full in (False, True):
        model = bert()
        args = arguments(bf16_full_eval=full, eval_strategy="steps", eval_steps=1, max_steps=3, learning_rate=1e-2)
        bothways.Trainer(model, args, train_dataset=WORDS, eval_dataset=WORDS, data_collator=padded).train()
        found.append(weights(model))
    assert equal(*found)


def test_tokens_with_and_without_padding_also_after_a_resume():
    def run(asked, steps, resume=False):
        settings = {"include_num_input_tokens_seen": asked, "max_steps": steps, "save_strategy": "steps"}
        args = arguments(**settings, save_steps=2, logging_steps=1, train_sampling_strategy="sequential", seed=1)
        args.per_device_train_batch_size = 3
        trainer = bothways.Trainer(bert(), args, train_dataset=WORDS, data_collator=padded)
        trainer.train(resume_from_checkpoint=resume)
        return [entry.get("num_input_tokens_seen") for entry in trainer.state.log_history[:4]], trainer

    # rows of 3, 4, 5 tokens fill 3 x 5 places, those of 6, 7, 8 fill 3 x 8
    with_padding, without = [15, 39, 54, 78], [12, 33, 45, 66]
    assert run("all", 4)[0] == with_padding
    assert run(True, 2)[0][:2] == with_padding[:2]
    assert run("all", 4, resume=True)[0] == with_padding
    counts, trainer = run("non_padding", 4)
    assert counts == without
    assert {"train_runtime", "train_tokens_per_second"} <= set(trainer.state.log_history[0])
    counts, trainer = run("no", 4)
    assert counts == [None] * 4 and "train_runtime" not in trainer.state.log_history[0]


def test_tokens_per_second_of_the_whole_run():
    found = []
    for asked in (False, True):
        args = arguments(include_tokens_per_second=asked)
        found.append(bothways.Trainer(bert(), args, train_dataset=WORDS, data_collator=padded).train().metrics)
    assert "train_tokens_per_second" not in found[0] and found[1]["train_tokens_per_second"] > 0


def kept_by_the_reference(steps, limit, best):
    """``Trainer._sorted_checkpoints`` and ``_rotate_checkpoints`` of the reference, after each save."""
    there = []
    for step in steps:
        there.append(step)
        known = best if best in there else None
        order = [s for s in there if s != known]
        if known is not None:
            order.insert(max(0, len(order) - (known != step)), known)
        if limit is not None and limit > 0:
            number = 2 if limit == 1 and known is not None and order[-1] != known else limit
            there = sorted(order[-number:])
    return there


@pytest.mark.parametrize("limit", [None, 0, -1, 1, 2, 3])
@pytest.mark.parametrize("best", [1, 3, 4, 5])
def test_the_best_checkpoint_counts_among_those_that_are_kept(limit, best):
    scores = iter([float(step == best) - step / 100 for step in range(1, 6)])
    args = arguments(
        max_steps=5, save_total_limit=limit, eval_strategy="steps", eval_steps=1, save_strategy="steps", save_steps=1,
        metric_for_best_model="score", greater_is_better=True,
    )  # fmt: skip
    trainer = bothways.Trainer(
        Net(), args, train_dataset=NUMBERS, eval_dataset=NUMBERS, compute_metrics=lambda p: {"score": next(scores)}
    )
    trainer.train()
    kept = sorted(int(path.name.split("-")[1]) for path in Path("out").glob("checkpoint-*"))
    expected = {best} if limit == 1 else kept_by_the_reference(range(1, 6), limit, best)
    assert set(kept) == set(expected)


def test_gradients_of_parameters_that_the_optimizer_does_not_have():
    """They count in the norm, as in the ecosystem, and do not pile up from step to step."""

    def norms(names):
        model = Net()
        own = torch.optim.SGD([p for n, p in model.named_parameters() if n.startswith(names)], lr=0.0)
        args = arguments(max_steps=3, logging_steps=1, max_grad_norm=1.0)
        trainer = bothways.Trainer(model, args, train_dataset=NUMBERS, optimizers=(own, None))
        trainer.train()
        assert all(p.grad is None for p in model.parameters())
        return [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry]

    part, whole = norms(("linear",)), norms(("linear", "unused"))
    assert part == pytest.approx(whole) and part[0] == pytest.approx(part[2])


def test_a_resumed_epoch_that_begins_with_its_first_rows():
    seen = []

    def collate(rows):
        seen.append([row["labels"] for row in rows])
        return {"x": torch.tensor([r["x"] for r in rows]), "labels": torch.tensor([r["labels"] for r in rows])}

    for skip, steps, expected in ((False, 1, [0.0]), (False, 2, [0.25]), (True, 3, [0.0, 0.25])):
        seen.clear()
        args = arguments(
            max_steps=steps, ignore_data_skip=skip, save_strategy="steps", save_steps=1, per_device_train_batch_size=2,
            train_sampling_strategy="sequential",
        )  # fmt: skip
        start = "out/checkpoint-1" if steps > 1 else None
        bothways.Trainer(Net(), args, train_dataset=NUMBERS, data_collator=collate).train(resume_from_checkpoint=start)
        assert [row[0] for row in seen[: len(expected)]] == expected


def test_tensorboard_gets_every_log(monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, log_dir):
            written.append(log_dir)

        def __getattr__(self, name):
            return lambda *values: written.append(values[0]) if name == "add_scalar" else None

    package = ModuleType("torch.utils.tensorboard")
    package.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", package)
    find = bothways.trainer.argument_checks.importlib.util.find_spec
    monkeypatch.setattr(
        "bothways.trainer.argument_checks.importlib.util.find_spec",
        lambda name, *rest: True if name == "tensorboard" else find(name, *rest),
    )
    args = arguments(report_to=["tensorboard"], logging_steps=1)
    trainer = bothways.Trainer(Net(), args, train_dataset=NUMBERS)
    assert [type(cb) for cb in trainer.callback_handler.callbacks].count(TensorBoardCallback) == 1
    trainer.train()
    assert written[0] == "out/runs" and {"train/loss", "train/train_loss"} <= set(written)


def test_the_cache_of_the_gpu_is_emptied_every_so_many_steps(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(1))
    bothways.Trainer(Net(), arguments(max_steps=5, torch_empty_cache_steps=2), train_dataset=NUMBERS).train()
    assert len(calls) == 2


def test_nothing_is_compiled_on_a_cpu_and_that_is_said(caplog):
    with caplog.at_level(logging.WARNING, logger="bothways"):
        bothways.Trainer(Net(), arguments(torch_compile=True), train_dataset=NUMBERS).train()
    assert sum("torch_compile is left out" in record.message for record in caplog.records) == 1


def test_on_a_gpu_the_model_is_compiled_while_it_trains(monkeypatch):
    asked = []
    model = Net()
    monkeypatch.setattr(torch, "compile", lambda call, **how: asked.append(how) or call)
    args = SimpleNamespace(
        torch_compile=True, torch_compile_backend="inductor", torch_compile_mode=None, device=torch.device("cuda")
    )
    with compiled(model, args):
        assert asked == [{"backend": "inductor", "mode": None, "dynamic": True}]
        assert model._compiled_call_impl is not None
    assert model._compiled_call_impl is None and list(model.state_dict())[0] == "linear.weight"


def test_a_log_method_of_an_older_program():
    class Older(bothways.Trainer):
        def log(self, logs):
            super().log({**logs, "mine": 1})

    trainer = Older(Net(), arguments(logging_steps=1), train_dataset=NUMBERS)
    trainer.train()
    assert all(entry["mine"] == 1 for entry in trainer.state.log_history)


def test_layers_of_distilbert_under_their_published_path():
    model = bothways.DistilBertForSequenceClassification(
        bothways.DistilBertConfig(n_layers=3, dim=8, n_heads=2, vocab_size=30)
    )
    for parameter in model.distilbert.transformer.layer[:2].parameters():
        parameter.requires_grad = False
    frozen = {n.split(".")[3] for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"0", "1"} and len(model.distilbert.transformer.layer) == 3


def test_metrics_that_are_no_dictionary():
    trainer = bothways.Trainer(Net(), arguments(), eval_dataset=NUMBERS, compute_metrics=lambda p: [0.5])
    with pytest.raises(InputError, match=r"compute_metrics returned a list \(\[0.5\]\)"):
        trainer.evaluate()


def test_columns_of_texts_only():
    rows = [{"sentence": "a", "label": 0}, {"sentence": "b", "label": 1}]
    with pytest.raises(InputError, match="none of the columns sentence is taken.*Tokenise the texts"):
        bothways.Trainer(bert(), arguments(), train_dataset=rows).train()
