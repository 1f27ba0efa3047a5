"""The one model that all systems run: a classifier made from published encoder weights by the reference library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._texts import WORDS
from bothways.files import write_json

BATCH = 32

HEADS: dict[str, tuple[str, tuple[str, ...]]] = {
    "zero-shot-classification": ("BertForSequenceClassification", ("contradiction", "neutral", "entailment")),
    "token-classification": (
        "BertForTokenClassification",
        ("O", *(f"{at}-{kind}" for kind in ("LOC", "MISC", "ORG", "PER") for at in "BI")),
    ),
    "question-answering": ("BertForQuestionAnswering", ()),
    "fill-mask": ("BertForMaskedLM", ()),
}
"""By the task of a pipeline the reference's class and the names of its labels."""


class Maker:
    """Makes model directories; lives in a worker, so that the benchmark itself loads no numeric library."""

    def has_fast_bfloat16(self) -> bool:
        """Whether this CPU multiplies bfloat16 in hardware."""
        from bothways.nn.linear import has_fast_bfloat16

        return has_fast_bfloat16()

    def classifier(self, source: Path, target: Path, seed: int, label_count: int = 2) -> None:
        """Write a ``BertForSequenceClassification`` with the body of ``source`` and a random head."""
        import torch
        from transformers import BertForSequenceClassification, BertTokenizerFast
        from transformers.utils import logging

        logging.set_verbosity_error()  # that the head is new is the point here
        torch.manual_seed(seed)
        BertForSequenceClassification.from_pretrained(source, num_labels=label_count).save_pretrained(target)
        # from the vocabulary alone: a published tokenizer.json may cut at 128 tokens and pad
        BertTokenizerFast(vocab_file=str(source / "vocab.txt"), model_max_length=512).save_pretrained(target)

    def fit_head(self, directory: Path, texts: Sequence[str], labels: Sequence[int]) -> float:
        """Give the classifier in ``directory`` a head fitted by logistic regression on the pooled first token.

        A random head answers nearly 0.5 to everything: its arg max says nothing about precision.

        Returns:
            Accuracy on the texts that it was fitted on.
        """
        import torch
        from sklearn.linear_model import LogisticRegression
        from transformers import AutoTokenizer, BertForSequenceClassification

        model = BertForSequenceClassification.from_pretrained(directory).eval()
        tokenizer = AutoTokenizer.from_pretrained(directory)
        pooled = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
        with torch.inference_mode():
            for chosen, inputs in sorted_batches(texts, tokenizer):
                tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
                pooled[chosen] = model.bert(**tensors).pooler_output.numpy()
        fitted = LogisticRegression(max_iter=1000).fit(pooled, labels)
        with torch.no_grad():
            for parameter, found in (
                (model.classifier.weight, fitted.coef_),
                (model.classifier.bias, fitted.intercept_),
            ):
                half = torch.from_numpy(np.concatenate([-found, found]) / 2)
                parameter.copy_(half.reshape(parameter.shape))
        model.save_pretrained(directory)
        return float(fitted.score(pooled, labels))

    def with_head(self, source: Path, target: Path, head: str, seed: int = 0) -> None:
        """Write a model with the body of ``source`` and a random head.

        Args:
            head: of ``HEADS``.
        """
        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()  # that the head is new is the point here
        torch.manual_seed(seed)
        name, labels = HEADS[head]
        named = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
        model = getattr(transformers, name).from_pretrained(source, **(named if labels else {}))
        model.save_pretrained(target)
        tokenizer = transformers.BertTokenizerFast(vocab_file=str(source / "vocab.txt"), model_max_length=512)
        tokenizer.save_pretrained(target)

    def encode_sentences(self, directory: Path, texts: Sequence[str], labels: Sequence[int], target: Path) -> int:
        """Write sentences as rows that every trainer reads.

        They are a JSON list of objects with ``input_ids``, ``attention_mask`` and ``labels``.

        Returns:
            How many.
        """
        from bothways.tasks.encoded import encode
        from bothways.tokenizers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(directory)
        return _write_rows(target, encode(tokenizer, texts, max_length=None).input_ids, labels)

    def encode_words(self, directory: Path, file: Path, held: Path, target: Path, most: int | None = None) -> int:
        """Write tagged sentences as such rows, with the pieces and labels that the main job trains on.

        Args:
            directory: a model with the labels of the tags.
            file: tagged sentences; ``held`` are others, so that none is held out of these.
            most: only so many of the first.

        Returns:
            How many.
        """
        from bothways import AutoConfig, AutoTokenizer
        from bothways.training.entity_task import EntityTask

        task = EntityTask.load([file], held, seed=0)
        config = AutoConfig.from_pretrained(directory)
        tokenizer = AutoTokenizer.from_pretrained(directory)
        features = task.training_set(tokenizer, config.max_position_embeddings, config).features
        return _write_rows(target, features.input_ids[:most], features.labels[:most])

    def tiny(self, target: Path, head: str | None = None) -> None:
        """Write a classifier of two layers of 32, or another model of ``HEADS``, for the words of ``_texts.WORDS``."""
        import torch
        import transformers

        torch.manual_seed(0)
        target.mkdir(parents=True, exist_ok=True)
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        (target / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
        name, labels = HEADS[head] if head else ("BertForSequenceClassification", ("negative", "positive"))
        config = transformers.BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
        )
        getattr(transformers, name)(config).save_pretrained(target)
        transformers.BertTokenizerFast(vocab_file=str(target / "vocab.txt")).save_pretrained(target)

    def fit_tags(self, directory: Path, sentences: Sequence[tuple[list[str], list[str]]]) -> float:
        """Give the tagger in ``directory`` a head fitted by logistic regression on the first tokens of words.

        A random head calls every word an entity, and then it is entities that are timed.

        Args:
            sentences: (words, tags) of each; tags that the tagger does not know are left out.

        Returns:
            Accuracy on the words that it was fitted on.
        """
        import torch
        from sklearn.linear_model import LogisticRegression
        from transformers import AutoTokenizer, BertForTokenClassification

        model = BertForTokenClassification.from_pretrained(directory).eval()
        tokenizer = AutoTokenizer.from_pretrained(directory)
        vectors, tags = [], []
        for words, own in sentences:
            encoding = tokenizer(words, is_split_into_words=True, truncation=True, return_tensors="pt")
            with torch.inference_mode():
                hidden = model.bert(**encoding).last_hidden_state[0].numpy()
            places = {word: i for i, word in reversed(list(enumerate(encoding.word_ids()))) if word is not None}
            known = [word for word in places if own[word] in model.config.label2id]
            vectors += [hidden[places[word]] for word in known]
            tags += [model.config.label2id[own[word]] for word in known]
        fitted = LogisticRegression(max_iter=200).fit(np.stack(vectors), tags)
        with torch.no_grad():
            model.classifier.bias.fill_(-1e4)  # tags that did not occur
            found = torch.from_numpy(fitted.classes_)
            model.classifier.weight[found] = torch.from_numpy(fitted.coef_).float()
            model.classifier.bias[found] = torch.from_numpy(fitted.intercept_).float()
        model.save_pretrained(directory)
        return float(fitted.score(np.stack(vectors), tags))

    def onnx(self, directory: Path, target: Path) -> None:
        """Export the classifier in ``directory`` to one ONNX file with free batch size and length."""
        import torch
        from transformers import BertForSequenceClassification

        # eager attention: the pattern that the graph optimisers of ONNX Runtime and OpenVINO recognise
        model = BertForSequenceClassification.from_pretrained(directory, attn_implementation="eager").eval()
        model.config.return_dict = False
        example = torch.ones(2, 8, dtype=torch.int64)
        free = {0: "batch", 1: "length"}
        torch.onnx.export(
            model,
            (example, example),
            str(target),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": free, "attention_mask": free, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )


def sorted_batches(
    texts: Sequence[str], tokenizer: Any, size: int = BATCH
) -> Iterator[tuple[list[int], dict[str, np.ndarray]]]:
    """Tokenise, sort by length and pad: what a careful user of a peer does.

    Yields:
        The indices of the texts of a batch, and its ``input_ids`` and ``attention_mask``, int64 (batch, longest).
    """
    rows = tokenizer(list(texts), return_attention_mask=False, return_token_type_ids=False)["input_ids"]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        longest = len(rows[chosen[0]])
        input_ids = np.full((len(chosen), longest), tokenizer.pad_token_id, dtype=np.int64)
        mask = np.zeros((len(chosen), longest), dtype=np.int64)
        for row, i in enumerate(chosen):
            input_ids[row, : len(rows[i])] = rows[i]
            mask[row, : len(rows[i])] = 1
        yield chosen, {"input_ids": input_ids, "attention_mask": mask}


def _write_rows(target: Path, input_ids: Sequence[Any], labels: Sequence[Any]) -> int:
    rows = [
        {"input_ids": list(map(int, ids)), "attention_mask": [1] * len(ids), "labels": np.asarray(own).tolist()}
        for ids, own in zip(input_ids, labels, strict=True)
    ]
    write_json(target, rows)
    return len(rows)
