"""Goals that hide words: alone, with pairs of texts, or to find what stands there falsely.

Shapes: B rows, T tokens, A asked tokens, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bothways.errors import UsageError
from bothways.objectives.masked_lm import continuation_table, falling_rate, mask_tokens, words_of
from bothways.objectives.replaced_tokens import replace_tokens
from bothways.objectives.sentence_pairs import SentencePairs, next_sentence_pairs, sentence_order_pairs
from bothways.pretraining.documents import Documents
from bothways.pretraining.exercise import Exercise
from bothways.pretraining.goals import IGNORED, Counts, Goal, GoalSettings, counted
from bothways.pretraining.rows import Frame, Rows, packed, pieces, rooms
from bothways.tasks.pair_frame import pair_frame

DISCRIMINATOR_WEIGHT = 50.0
"""Of the loss of finding replaced tokens. Source: Clark et al. 2020, section 3.1."""


class MaskedWords(Goal):
    """Words are hidden and asked for. Source: Devlin et al. 2019, section 3.1; without pairs, Liu et al. 2019."""

    model_task = "masked-lm"
    measures: ClassVar[dict[str, str]] = {"accuracy": "hidden tokens right"}
    begins_with_word_vectors = True

    def __init__(self, tokenizer: Any, settings: GoalSettings) -> None:
        super().__init__(tokenizer, settings)
        if tokenizer.mask_token_id is None:
            raise UsageError(
                f"{type(tokenizer).__name__} has no mask token, and this objective hides words behind it. Take another "
                "tokeniser, or --objective clm."
            )
        self.frame = frame_of(tokenizer, pair=self.has_pairs)
        special = set(tokenizer.all_special_ids)
        self.ordinary = torch.tensor([i for i in range(len(tokenizer)) if i not in special])
        self.continues = continuation_table(tokenizer) if settings.whole_words else None

    def rows(self, documents: Documents, rng: np.random.Generator) -> Rows:
        short = self.settings.short_rows
        return pieces(documents.starts, rooms(len(documents), self.room, short, rng) if short else self.room)

    @property
    def room(self) -> int:
        """Tokens of the texts in a row."""
        return self.settings.max_length - self.frame.n_special

    def exercise(
        self, documents: Documents, rows: Rows, indices: Sequence[int], *, seed: int, share: float
    ) -> Exercise:
        batch, content = packed(documents, rows, indices, self.frame)
        masked = mask_tokens(
            batch,
            can_be_chosen=content,
            mask_token_id=self.tokenizer.mask_token_id,
            random_ids=self.ordinary,
            generator=torch.Generator().manual_seed(seed),
            rate=falling_rate(share, *self.settings.mask_rate),
            word_of=None if self.continues is None else words_of(batch.input_ids, batch.seqlens, self.continues),
        )
        relation = None if rows.relation is None else torch.from_numpy(rows.relation[np.asarray(indices)])
        return Exercise(batch=masked, relation=relation)

    def loss(self, model: Any, exercise: Exercise) -> Tensor:
        return model(exercise.batch).loss * exercise.asked_share

    def counts(self, model: Any, exercise: Exercise) -> Counts:
        output = model(exercise.batch)
        return counted(output.loss, output.logits, asked(exercise))

    def asked_share(self) -> float:
        return max(self.settings.mask_rate)


class MaskedWordsAndPairs(MaskedWords):
    """Words are hidden, and does the second text follow the first? Source: Devlin et al. 2019, section 3.1."""

    model_task = "pretraining"
    measures: ClassVar[dict[str, str]] = {"accuracy": "hidden tokens right", "pairs": "pairs right"}
    has_pairs = True
    asks_always = True
    relation_logits: ClassVar[str] = "seq_relationship_logits"

    def rows(self, documents: Documents, rng: np.random.Generator) -> Rows:
        return Rows.of_pairs(self.pairs(documents, rng))

    def check(self, documents: Documents) -> None:
        count = len(documents)
        if count < 2:
            raise UsageError(
                f"there is {count} document, and next sentences need a text of another. Blank lines divide documents; "
                "or leave nsp out of --objective."
            )
        if count == len(documents.sentence_starts) and int(np.diff(documents.starts).max(initial=0)) <= self.room:
            raise UsageError(
                f"each of the {count:,} documents is one sentence, so that none follows another. Leave nsp out of "
                "--objective, or give documents of several sentences: blank lines are between them alone."
            )

    def pairs(self, documents: Documents, rng: np.random.Generator) -> SentencePairs:
        """Pairs of texts with what is asked about them."""
        return next_sentence_pairs(documents.starts, documents.sentence_starts, max_tokens=self.room, rng=rng)

    def loss(self, model: Any, exercise: Exercise) -> Tensor:
        words, relation, _ = self._losses(model, exercise)
        return words * exercise.asked_share + relation / exercise.step_rows

    def counts(self, model: Any, exercise: Exercise) -> Counts:
        words, relation, output = self._losses(model, exercise)
        found = counted(words, output.prediction_logits, asked(exercise))
        right = float((getattr(output, self.relation_logits).argmax(dim=-1) == exercise.relation).sum())
        return found | {"pairs_loss": (float(relation), exercise.n_rows), "pairs": (right, exercise.n_rows)}

    def _losses(self, model: Any, exercise: Exercise) -> tuple[Tensor, Tensor, Any]:
        """The mean over words (0 of none), the sum over rows, and the model's output."""
        output = model(exercise.batch)
        words = F.cross_entropy(output.prediction_logits.float(), asked(exercise), reduction="sum")
        words = words / max(1, len(output.prediction_logits))
        logits = getattr(output, self.relation_logits).float()
        assert exercise.relation is not None
        return words, F.cross_entropy(logits, exercise.relation, reduction="sum"), output


class MaskedWordsAndOrder(MaskedWordsAndPairs):
    """Words are hidden, and are the two texts in order? Source: Lan et al. 2020, section 3.1."""

    relation_logits = "sop_logits"

    def check(self, documents: Documents) -> None:
        """A single sentence is divided."""

    def pairs(self, documents: Documents, rng: np.random.Generator) -> SentencePairs:
        return sentence_order_pairs(documents.starts, documents.sentence_starts, max_tokens=self.room, rng=rng)


class GeneratorAndDiscriminator(nn.Module):
    """Two models with the same word vectors: one guesses hidden words, the other finds the wrong guesses.

    Source: Clark et al. 2020, sections 2 and 3.2.
    """

    def __init__(self, generator: Any, discriminator: Any) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        own, shared = generator.base_model.embeddings, discriminator.base_model.embeddings
        for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
            setattr(own, name, getattr(shared, name))
        generator.tie_weights()

    @property
    def config(self) -> Any:
        return self.discriminator.config


class ReplacedWords(MaskedWords):
    """Some words are replaced by guesses; is each word the original one? Source: Clark et al. 2020, section 2."""

    model_task = "pretraining"
    measures: ClassVar[dict[str, str]] = {
        "accuracy": "guesses of the generator right",
        "found": "replaced tokens found",
        "false_alarms": "original tokens taken for replaced ones",
    }
    asks_always = True
    begins_with_word_vectors = False

    def loss(self, model: Any, exercise: Exercise) -> Tensor:
        guesses, found, replaced = self._outputs(model, exercise)
        loss = DISCRIMINATOR_WEIGHT * found.loss * (replaced.total_tokens / exercise.step_tokens)
        return loss + guesses.loss * exercise.asked_share if exercise.asked_share else loss

    def counts(self, model: Any, exercise: Exercise) -> Counts:
        guesses, found, replaced = self._outputs(model, exercise)
        is_replaced = replaced.labels == 1
        said = found.logits.flatten() > 0
        tokens, count = replaced.total_tokens, int(is_replaced.sum())
        return counted(guesses.loss, guesses.logits, asked(exercise)) | {
            "found_loss": (float(found.loss) * tokens, tokens),
            "found": (float((said & is_replaced).sum()), count),
            "false_alarms": (float((said & ~is_replaced).sum()), tokens - count),
        }

    def _outputs(self, model: Any, exercise: Exercise) -> tuple[Any, Any, Any]:
        """Of the generator and of the discriminator, and the batch with the guesses."""
        guesses = model.generator(exercise.batch)
        # of torch's own generator, which each step seeds: the guesses follow from the step, as dropout does
        generator = torch.Generator(exercise.batch.input_ids.device)
        generator.manual_seed(int(torch.randint(2**62, ())))
        replaced = replace_tokens(exercise.batch, guesses.logits.detach(), generator=generator)
        return guesses, model.discriminator(replaced), replaced


def asked(exercise: Exercise) -> Tensor:
    """int64 (A,), the ids that are asked for."""
    labels = exercise.batch.labels
    assert labels is not None
    return labels[labels != IGNORED]


def frame_of(tokenizer: Any, *, pair: bool) -> Frame:
    """The special tokens that a tokeniser puts around one text, or around two."""
    if pair:
        found = pair_frame(tokenizer)
        parts = (tuple(found.before), tuple(found.between), tuple(found.after))
        return Frame(before=parts[0], between=parts[1], after=parts[2], typed=found.is_typed)
    probe = tokenizer.encode_texts(["a"], add_special_tokens=True)[0]
    own = [i for i, of in enumerate(probe.sequence_ids) if of == 0]
    before, after = tuple(probe.ids[: own[0]]), tuple(probe.ids[own[-1] + 1 :])
    return Frame(before=before, between=(), after=after, typed=False)
