"""Word vectors by counting: words in the same company are alike, and a new model begins with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import bothways
from bothways import pretrain
from bothways.engine.processes import Processes
from bothways.errors import Interrupted
from bothways.pretraining import job, word_vectors
from bothways.pretraining.documents import documents_of
from bothways.pretraining.word_vectors import begin_with_word_vectors
from tests.pretraining.small import NO_DROPOUT, Tokens, config_file, language, shards, tokenizer_for

VOCABULARY = 30
FIRST, SECOND = 3, 4  # say the same
OTHER = 5
UNSEEN = 29


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr(job, "measured_peak", lambda precision, device: 1e11)


def documents_from(texts):
    starts = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    return documents_of(Tokens(starts, starts[:-1], np.concatenate(texts).astype(np.int64)))


def company(seed=0):
    """FIRST and SECOND stand among 10 to 14, OTHER among 20 to 24."""
    rng = np.random.default_rng(seed)
    texts = []
    for word, low in ((FIRST, 10), (SECOND, 10), (OTHER, 20)):
        for _ in range(40):
            around = rng.integers(low, low + 5, 6)
            texts.append(np.concatenate([around[:3], [word], around[3:]]))
    return texts


def test_words_in_the_same_company_are_alike():
    found = word_vectors.word_vectors(documents_from(company()), VOCABULARY, 8)
    assert found.dtype == np.float32 and found.shape == (VOCABULARY, 8)
    alike, apart = found[FIRST] @ found[SECOND], found[FIRST] @ found[OTHER]
    assert alike > 0.8 and abs(apart) < 0.1
    lengths = np.linalg.norm(found, axis=1)
    assert lengths[[FIRST, SECOND, OTHER]] == pytest.approx(1, abs=1e-5) and lengths[UNSEEN] == 0
    np.testing.assert_array_equal(found, word_vectors.word_vectors(documents_from(company()), VOCABULARY, 8))


def test_words_of_two_documents_are_no_neighbours():
    apart = documents_from([np.array([6, 7] * 3), np.array([8, 9] * 3)] * 5)
    found = word_vectors.word_vectors(apart, VOCABULARY, 8)
    assert np.abs(found[[6, 7]] @ found[[8, 9]].T).max() < 1e-4
    together = documents_from([np.array([6, 7, 8, 9] * 3)] * 5)
    found = word_vectors.word_vectors(together, VOCABULARY, 8)
    assert np.abs(found[[6, 7]] @ found[[8, 9]].T).max() > 0.1


@pytest.mark.parametrize("chunk", [7, 50, 10_000])
def test_counts_do_not_depend_on_how_the_corpus_is_read(chunk, monkeypatch):
    documents = documents_from(company())
    whole = word_vectors.word_vectors(documents, VOCABULARY, 8)
    monkeypatch.setattr(word_vectors, "CHUNK", chunk)
    np.testing.assert_allclose(word_vectors.word_vectors(documents, VOCABULARY, 8), whole, atol=1e-4)


def test_of_a_large_corpus_a_part_is_read(monkeypatch):
    documents = documents_from(company())
    monkeypatch.setattr(word_vectors, "COUNTED_TOKENS", documents.n_tokens // 4)
    monkeypatch.setattr(word_vectors, "PIECE", 4)  # as a document of millions is
    documents.corpus.asked.clear()
    word_vectors.word_vectors(documents, VOCABULARY, 8)
    read = sum(stop - start for start, stop in documents.corpus.asked)
    assert 0.15 < read / documents.n_tokens < 0.35
    assert max(stop for _, stop in documents.corpus.asked) > 0.9 * documents.n_tokens


@pytest.mark.parametrize("texts", [[np.array([7])], [np.array([], dtype=np.int64), np.array([7, 7])]])
def test_too_little_text_gives_no_vectors_and_no_error(texts):
    assert np.isfinite(word_vectors.word_vectors(documents_from(texts), VOCABULARY, 8)).all()


def test_wide_vectors_hold_the_same_parts(monkeypatch):
    documents = documents_from(company())
    whole = word_vectors.word_vectors(documents, VOCABULARY, 4)
    monkeypatch.setattr(word_vectors, "MOST_PARTS", 4)
    wide = word_vectors.word_vectors(documents, VOCABULARY, 16)
    np.testing.assert_allclose(wide @ wide.T, whole @ whole.T, atol=1e-3)


class Place:
    """Shards and a configuration for an objective."""

    def __init__(self, directory: Path, objective: str):
        self.directory, self.objective = directory, objective
        self.tokenizer = tokenizer_for(objective, directory / "tokenizer")
        self.data = shards(directory, language(60), self.tokenizer)
        self.config = config_file(directory / "config.json", objective, **NO_DROPOUT)

    def run(self, name, **options):
        """A model after one step that changes next to nothing."""
        own = {"max_length": 32, "batch_tokens": 320, "precision": "float32", "batch_ramp": 0, "learning_rate": 1e-9}
        output, begin = self.directory / name, {"objective": self.objective, "config": self.config, "steps": 1}
        return pretrain(self.data, output, **{**begin, **own, **options}).directory


def vectors_of(directory):
    return bothways.AutoModel.from_pretrained(directory).get_input_embeddings().weight.detach()


@pytest.mark.parametrize("objective", ["mlm", "mlm,nsp", "mlm,sop"])
def test_a_new_model_of_masked_words_begins_with_them(objective, tmp_path):
    place, said = Place(tmp_path, objective), []
    counted = vectors_of(place.run("counted", say=said.append))
    plain = vectors_of(place.run("plain", word_vectors=False))
    assert sum("Counting which words stand near each other" in line for line in said) == 1
    unseen = place.tokenizer.mask_token_id
    torch.testing.assert_close(counted[unseen], plain[unseen], atol=1e-6, rtol=0)
    seen = place.tokenizer.convert_tokens_to_ids(["w1", "v1"])
    assert not torch.allclose(counted[seen], plain[seen], atol=1e-3)
    length = word_vectors.LONGER * plain.std() * plain.shape[1] ** 0.5
    torch.testing.assert_close(counted[seen].norm(dim=1), length.expand(2), rtol=0.02, atol=0)
    starts = [json.loads((tmp_path / name / "bothways.json").read_text())["start"] for name in ("counted", "plain")]
    assert [start["word_vectors"] for start in starts] == ["counted", "random"]


@pytest.mark.parametrize("objective", ["clm", "span", "rtd"])
def test_other_objectives_begin_at_random(objective, tmp_path):
    place, said = Place(tmp_path, objective), []
    found = place.run("model", say=said.append)
    assert not any("Counting" in line for line in said)
    assert json.loads((found / "bothways.json").read_text())["start"]["word_vectors"] == "random"


def test_a_model_that_goes_on_keeps_its_words(tmp_path):
    place, said = Place(tmp_path, "mlm"), []
    first = place.run("first", word_vectors=False)
    again = place.run("again", model=first, config=None, say=said.append)
    torch.testing.assert_close(vectors_of(again), vectors_of(first), atol=1e-6, rtol=0)
    assert not any("Counting" in line for line in said)


def test_a_run_that_goes_on_does_not_count_again(tmp_path, monkeypatch):
    place = Place(tmp_path, "mlm")
    options = {"steps": 4, "checkpoint_steps": 1, "learning_rate": 1e-3}
    whole = vectors_of(place.run("whole", **options))

    def stop_at_two(line):
        if "step 2" in line:
            raise KeyboardInterrupt

    with pytest.raises((Interrupted, KeyboardInterrupt)):
        place.run("stopped", say=stop_at_two, **options)
    monkeypatch.setattr(job, "begin_with_word_vectors", lambda *given: pytest.fail("counted again"))
    assert torch.equal(vectors_of(place.run("stopped", **options)), whole)


def test_the_command_says_how_a_run_began(tmp_path):
    place = Place(tmp_path, "mlm")
    for given in (True, False):
        facts = json.loads((place.run(f"run-{given}", word_vectors=given) / "bothways.json").read_text())
        assert ("--no-word-vectors" in facts["command"]) is not given


def test_they_make_a_short_run_learn_more(tmp_path):
    """Of a language in which neighbours tell each other, after as many steps."""
    place = Place(tmp_path, "mlm")
    options = {"steps": 60, "learning_rate": 5e-3}
    losses = {}
    for given in (True, False):
        name = f"learned-{given}"
        place.run(name, word_vectors=given, **options)
        losses[given] = json.loads((tmp_path / name / "bothways.json").read_text())["measures"]["loss"]
    assert losses[True] < losses[False]


def test_all_processes_begin_alike():
    class Two(Processes):
        def first_does(self, work):
            return np.ones((VOCABULARY, 4), dtype=np.float32) / 2

    class Model:
        embedding = torch.nn.Embedding(VOCABULARY, 4)

        def get_input_embeddings(self):
            return self.embedding

    begin_with_word_vectors(Model(), documents_from(company()), Two(rank=1, count=2))
    assert (Model.embedding.weight == Model.embedding.weight[0, 0]).all()
