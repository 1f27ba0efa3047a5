"""``train_new_from_iterator`` of every kind of tokeniser: as the reference's, and the same every time."""

import json
import os
import subprocess
import sys

import pytest
import tokenizer_kinds
import writing_kinds
from tokenizer_kinds import KINDS
from writing_kinds import FAST

from bothways.errors import TokenizerError

TEXTS = [
    "lower lowest low slower slowest slow; newer newest new renew renewed renewing",
    "wider widest wide widen widened, and 12, 345 or 6,7 don't count",
    "Die Straße, das Café: ein größeres, ein kleineres.",
    "  two  spaces\tand a tab ",
    "日本語 and 中文 — ① ﬁne",
] * 6
SIZES = {"t5": 240, "pegasus": 260, "llama": 400, "llama-new": 400, "llama-bare": 400}
BYTE_LEVEL = ("byte-level-bpe", "gpt2", "gpt2-bos", "bart")
# The reference's vocabulary differs from run to run (wordpiece, unigram, openai-gpt) or reaches over words (llama).
ALL = [*KINDS, *FAST]
SHORT = ["wordpiece", "byte-level-bpe", "unigram-model-albert", "openai-gpt", "llama", "llama-new", "t5"]


def build(kind):
    return (tokenizer_kinds.build if kind in KINDS else writing_kinds.build_writing)(kind)


def trained(kind, texts=TEXTS, size=330, **options):
    return build(kind).train_new_from_iterator(texts, SIZES.get(kind, size), **options)


def content(tokenizer):
    return json.loads(tokenizer.backend_tokenizer.to_str())


@pytest.mark.parametrize("kind", ALL)
def test_as_the_reference_but_for_the_pieces(kind, transformers):
    options = {"new_special_tokens": ["<new>"]}
    ours = trained(kind, **options)
    module = tokenizer_kinds if kind in KINDS else writing_kinds
    size = SIZES.get(kind, 330)
    theirs = module.build_reference(transformers, kind).train_new_from_iterator(TEXTS, size, **options)
    assert type(ours).__name__ == type(theirs).__name__
    assert ours.all_special_tokens == theirs.all_special_tokens and ours.all_special_ids == theirs.all_special_ids
    mine, other = content(ours), content(theirs)
    for part in ("normalizer", "pre_tokenizer", "decoder", "post_processor"):
        assert mine[part] == other[part]
    for state in (mine, other):
        for token in state["added_tokens"]:
            del token["special"]  # the reference makes special tokens of all others too
    assert mine["added_tokens"] == other["added_tokens"]
    same = set(mine["model"]) if kind in BYTE_LEVEL else set(mine["model"]) - {"vocab", "merges"}
    assert {key: mine["model"][key] for key in same} == {key: other["model"][key] for key in same}
    assert len(ours) <= size and ours.vocab_size == len(mine["model"]["vocab"])


@pytest.mark.parametrize("kind", ["wordpiece", "byte-level-bpe", "unigram-model-albert", "openai-gpt", "t5", "llama"])
def test_saved_and_loaded_here_and_there(kind, transformers, tmp_path):
    from bothways.tokenizers import AutoTokenizer

    tokenizer = trained(kind, new_special_tokens=["<new>"])
    tokenizer.save_pretrained(tmp_path)
    texts = [*TEXTS[:5], "slow <new> x"]
    ids = tokenizer(texts)["input_ids"]
    assert AutoTokenizer.from_pretrained(tmp_path)(texts)["input_ids"] == ids
    assert transformers.AutoTokenizer.from_pretrained(str(tmp_path))(texts)["input_ids"] == ids
    assert len(tokenizer("slowest slowest")["input_ids"]) <= len(build(kind)("slowest slowest")["input_ids"])


def test_options_reach_the_trainer():
    assert len(trained("byte-level-bpe", min_frequency=1000)) == 5 + 256
    assert max(map(len, trained("byte-level-bpe", max_token_length=2).get_vocab())) == len("<mask>")
    unigram = trained("unigram-model-albert", max_piece_length=2)
    assert max(len(token) for token, _ in content(unigram)["model"]["vocab"] if token[0] not in "<[($") == 2
    with pytest.raises(TokenizerError, match=r"unknown training options \['min_freq'\]. Did you mean 'min_frequency'"):
        trained("byte-level-bpe", min_freq=2)
    with pytest.raises(TokenizerError, match="vocab_size is 200, but 5 special tokens .* take 261. Raise .* to 261"):
        trained("byte-level-bpe", size=200)
    for size in (0, -3, 2.5, True, None):
        with pytest.raises(TokenizerError, match=f"vocab_size is {size}; a whole number of entries from 1 on"):
            trained("byte-level-bpe", size=size)


def test_special_tokens_keep_their_flags_under_new_names():
    tokenizer = trained("byte-level-bpe", special_tokens_map={"<mask>": "[MASK]", "<s>": "[CLS]"})
    mask = tokenizer.added_tokens_decoder[tokenizer.mask_token_id]
    assert mask.content == "[MASK]" and mask.lstrip and not mask.rstrip


def test_unknown_characters_are_bytes_where_they_were():
    tokenizer = trained("llama")
    assert tokenizer.convert_tokens_to_ids("<0x00>") == 3
    assert tokenizer.decode(tokenizer.encode("Ω slow"), skip_special_tokens=True) == "Ω slow"
    assert not any("▁" in token[1:] for token in tokenizer.get_vocab())  # no piece reaches over words


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from test_training_kinds import SHORT, TEXTS, trained
for kind in SHORT:
    print(trained(kind, TEXTS[::-1]).backend_tokenizer.to_str())
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_same_texts_in_any_order_same_bytes(seed, request):
    here = [trained(kind).backend_tokenizer.to_str() for kind in SHORT]
    command = [sys.executable, "-c", PROGRAM, str(request.path.parent)]
    surroundings = {**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": seed, "OMP_NUM_THREADS": seed}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=surroundings)
    assert done.stdout.splitlines() == here
