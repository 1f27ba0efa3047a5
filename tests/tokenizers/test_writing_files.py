"""Files of the tokenisers that write: both libraries load what either saves; what is missing is explained."""

import json
import pickle
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_vocabularies import TEXT
from test_kinds_files import PIECES, field, piece
from tokenizer_kinds import FILES
from tokenizer_samples import HOSTILE
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from writing_kinds import FAST, MARIAN, WRITING, build_reference, build_writing

import bothways.tokenizers as ours
from bothways.errors import TokenizerError
from bothways.tokenizers.bpe import read_merges, read_vocab_json
from bothways.tokenizers.engine import LLAMA3, MISTRAL_NEMO
from bothways.tokenizers.sentencepiece_bpe import merges_of_pieces
from bothways.tokenizers.sentencepiece_model import BPE, NORMAL, Piece, parse_sentencepiece, read_sentencepiece

TEXTS = [*HOSTILE, *TEXT, "newword <e>the</e> <mask>", "<extra_id_0> a", "<mask_2>en_XX"]
NEEDS_MODEL = ("llama-bare",)  # the reference converts again, with its slow class, if add_prefix_space is given


@pytest.mark.parametrize("kind", FAST)
@pytest.mark.parametrize("legacy", [None, False])
def test_both_load_what_we_save(transformers, tmp_path, kind, legacy):
    mine = build_writing(kind, model_max_length=77)
    mine.add_tokens(["newword"])
    mine.add_special_tokens({"additional_special_tokens": ["<e>", "</e>"]}, replace_additional_special_tokens=False)
    expected = mine(TEXTS)["input_ids"]
    mine.save_pretrained(tmp_path, legacy_format=legacy)
    again = ours.AutoTokenizer.from_pretrained(tmp_path)
    assert type(again) is type(mine)
    assert again(TEXTS)["input_ids"] == expected
    assert again.model_max_length == 77 and again.special_tokens_map == mine.special_tokens_map
    if kind not in NEEDS_MODEL:
        reference = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
        assert type(reference).__name__ == type(mine).__name__
        assert reference(TEXTS)["input_ids"] == expected
        assert repr(again) == repr(reference)
    plain = ours.AutoTokenizer.from_pretrained(tmp_path, use_fast=False)
    assert type(plain).__name__ == WRITING[kind][0] and not plain.is_fast
    assert plain(TEXTS)["input_ids"] == expected
    plain.save_pretrained(tmp_path / "plain")
    assert ours.AutoTokenizer.from_pretrained(tmp_path / "plain")(TEXTS)["input_ids"] == expected


@pytest.mark.parametrize("kind", FAST)
def test_we_load_what_the_reference_saves(transformers, tmp_path, kind):
    reference = build_reference(transformers, kind, model_max_length=77)
    reference.add_tokens(["newword"])
    reference.save_pretrained(str(tmp_path))
    mine = ours.AutoTokenizer.from_pretrained(tmp_path)
    assert mine(TEXTS, text_target=TEXTS).data == reference(TEXTS, text_target=TEXTS).data
    assert repr(mine) == repr(transformers.AutoTokenizer.from_pretrained(str(tmp_path)))


@pytest.mark.parametrize("kind", ["gpt2", "gpt2-bos", "openai-gpt", "bart"])
def test_saved_files_are_the_references(transformers, tmp_path, kind):
    build_writing(kind).save_pretrained(tmp_path / "a")
    build_reference(transformers, kind).save_pretrained(str(tmp_path / "b"))
    names = sorted(path.name for path in (tmp_path / "b").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "a").iterdir())
    for name in names:
        mine, theirs = ((tmp_path / side / name).read_text("utf-8") for side in "ab")
        assert mine == theirs if name == "merges.txt" else json.loads(mine) == json.loads(theirs), name


@pytest.mark.parametrize(("model_type", "kind"), [
    ("gpt2", "gpt2"), ("openai-gpt", "openai-gpt"), ("bart", "bart"), ("t5", "t5"), ("mbart", "mbart"),
    ("mbart50", "mbart50"), ("pegasus", "pegasus"), ("llama", "llama"), ("mistral", "llama"), ("marian", "marian"),
])  # fmt: skip
def test_vocabulary_files_and_model_type_alone(tmp_path, model_type, kind):
    name, files, _ = WRITING[kind]
    cls = getattr(ours, name)
    for file_kind, source in files.items():
        shutil.copy(source, tmp_path / cls.vocab_files_names[file_kind])
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    fast, plain = (ours.AutoTokenizer.from_pretrained(tmp_path, use_fast=use) for use in (True, False))
    assert type(fast).__name__ == name + ("" if kind == "marian" else "Fast") and type(plain) is cls
    assert fast(TEXTS)["input_ids"] == plain(TEXTS)["input_ids"] == build_writing(kind)(TEXTS)["input_ids"] or (
        kind == "gpt2" or kind == "mbart50"  # whose options differ
    )
    (tmp_path / list(cls.vocab_files_names.values())[0]).unlink()
    with pytest.raises(TokenizerError, match=rf"lacks|has no tokeniser files.*{name}"):
        ours.AutoTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("kind", WRITING)
def test_pickled_copies_are_alike(kind):
    mine = build_writing(kind)
    again = pickle.loads(pickle.dumps(mine))
    assert again(TEXTS, text_target=TEXTS).data == mine(TEXTS, text_target=TEXTS).data


def test_marian_directories(tmp_path):
    mine = build_writing("marian")
    mine.add_tokens(["newword"])
    names = mine.save_pretrained(tmp_path)
    assert sorted(name.rpartition("/")[2] for name in names) == [
        "added_tokens.json", "source.spm", "special_tokens_map.json", "target.spm", "tokenizer_config.json",
        "vocab.json"]  # fmt: skip
    for name in ("source_spm", "target_spm"):
        assert (tmp_path / mine.vocab_files_names[name]).read_bytes() == open(MARIAN[name], "rb").read()  # noqa: SIM115
    path = tmp_path / "tokenizer_config.json"
    content = {**json.loads(path.read_text()), "source_spm": "/etc/passwd", "vocab": "/etc/passwd",
               "target_vocab_file": "/etc/passwd"}  # fmt: skip
    path.write_text(json.dumps(content))  # no file names other files
    again = ours.AutoTokenizer.from_pretrained(tmp_path)
    assert type(again) is ours.MarianTokenizer and again.model_max_length == 512
    assert again(TEXTS, text_target=TEXTS).data == mine(TEXTS, text_target=TEXTS).data
    assert again.supported_language_codes == [">>de<<", ">>fr<<"]
    with pytest.raises(TokenizerError, match="no tokenizer.json"):
        mine.save_pretrained(tmp_path, legacy_format=False)
    (tmp_path / "target.spm").unlink()
    with pytest.raises(TokenizerError, match=r"lacks target.spm: MarianTokenizer is built from source.spm and target"):
        ours.AutoTokenizer.from_pretrained(tmp_path)


def test_marian_with_two_vocabularies(tmp_path):
    vocab = json.loads(open(MARIAN["vocab"], encoding="utf-8").read())  # noqa: SIM115
    middle = [token for token in vocab if token not in ("</s>", "<unk>", "<pad>")]
    turned = ["</s>", "<unk>", *reversed(middle), "<pad>"]
    path = tmp_path / "target_vocab.json"
    path.write_text(json.dumps({token: index for index, token in enumerate(turned)}))
    mine = ours.MarianTokenizer(**MARIAN, target_vocab_file=path, separate_vocabs=True)
    batch = mine("the boat", text_target="Boot</s>")
    one = build_writing("marian")("the boat", text_target="Boot</s>")
    assert batch["input_ids"] == one["input_ids"]
    tokens = build_writing("marian").convert_ids_to_tokens(one["labels"])
    assert batch["labels"] == [turned.index(token) for token in tokens]
    assert mine.decode(batch["labels"]) == build_writing("marian").decode(one["labels"])
    assert mine.get_tgt_vocab() != mine.get_src_vocab() and mine.supported_language_codes == []
    with pytest.raises(TokenizerError, match=r"\['new'\] cannot be added: .* of 153 and 153 entries"):
        mine.add_tokens(["new"])
    mine.save_pretrained(tmp_path / "saved")
    again = ours.MarianTokenizer.from_pretrained(tmp_path / "saved")
    assert again("the boat", text_target="Boot</s>").data == batch.data
    with pytest.raises(TokenizerError, match="separate_vocabs=True needs a target_vocab_file"):
        ours.MarianTokenizer(**MARIAN, separate_vocabs=True)


def test_marian_has_no_offsets():
    mine = build_writing("marian")
    for call in (lambda: mine("a", return_offsets_mapping=True), lambda: mine.encode_texts(["a"], offsets=True)):
        with pytest.raises(TokenizerError, match="MarianTokenizer has no offsets"):
            call()
    assert not mine("a").is_fast
    assert [e.ids for e in mine.encode_texts(["the boat", ""])] == [mine("the boat")["input_ids"], [0]]
    with pytest.raises(TokenizerError, match="input 1 is 5"):
        mine(["a", 5])
    for refused in (lambda: mine("bad \ud800"), lambda: mine.tokenize("bad \ud800")):
        with pytest.raises(TokenizerError, match=r"lone surrogate U\+D800 at character 4"):
            refused()
    with pytest.raises(TokenizerError, match="has no '<pud>' among its 153 entries, but that is the pad_token"):
        build_writing("marian", pad_token="<pud>")
    windows = mine("the boat and the sea", truncation=True, max_length=4, stride=1, return_overflowing_tokens=True)
    assert all(len(row) <= 4 and row[-1] == 0 for row in windows["input_ids"]) and len(windows["input_ids"]) > 1


def later_json(pattern):
    """A tokenizer.json as of Llama 3 and Mistral Nemo, over the small byte-level vocabulary."""
    vocab = read_vocab_json(FILES / "vocab.json")
    engine = Tokenizer(models.BPE(vocab, read_merges(FILES / "merges.txt", vocab), ignore_merges=True))
    engine.add_special_tokens([AddedToken(t, special=True) for t in ("<|begin|>", "<|end|>")])
    engine.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    engine.decoder = decoders.ByteLevel()
    engine.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin|> $A", pair="<|begin|> $A <|begin|>:1 $B:1",
                                      special_tokens=[("<|begin|>", engine.token_to_id("<|begin|>"))]),
    ])  # fmt: skip
    return engine.to_str()


@pytest.mark.parametrize("pattern", [LLAMA3, MISTRAL_NEMO], ids=["llama-3", "mistral-nemo"])
def test_directories_with_a_tokenizer_json_alone(transformers, tmp_path, pattern):
    (tmp_path / "tokenizer.json").write_text(later_json(pattern), encoding="utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>", "eos_token": "<|end|>",
        "model_input_names": ["input_ids", "attention_mask"], "chat_template": "{{ bos_token }}",
    }))  # fmt: skip
    mine, reference = (source.AutoTokenizer.from_pretrained(str(tmp_path)) for source in (ours, transformers))
    assert type(mine) is ours.PreTrainedTokenizerFast
    assert mine(TEXTS, text_target=TEXTS).data == reference(TEXTS, text_target=TEXTS).data
    assert mine.batch_decode(mine(TEXTS)["input_ids"]) == reference.batch_decode(mine(TEXTS)["input_ids"])
    with pytest.raises(TokenizerError, match="apply_chat_template is not supported: a chat template is a program"):
        mine.apply_chat_template([{"role": "user", "content": "hi"}])
    (tmp_path / "tokenizer.json").write_text(later_json(pattern + "|(a+)+b"), encoding="utf-8")
    with pytest.raises(TokenizerError, match="regular expression"):
        ours.AutoTokenizer.from_pretrained(tmp_path)


def test_impossible_arguments():
    with pytest.raises(TokenizerError, match="extra_ids is 3, but additional_special_tokens names 1 sentinels"):
        build_writing("t5", extra_ids=3, additional_special_tokens=["<extra_id_0>"])
    with pytest.raises(TokenizerError, match="extra_ids is -1"):
        ours.T5Tokenizer(FILES / "t5" / "spiece.model", extra_ids=-1)
    with pytest.raises(TokenizerError, match="offset is True"):
        ours.PegasusTokenizer(FILES / "t5" / "spiece.model", offset=True)
    with pytest.raises(TokenizerError, match=r"to 102 tokens, and then name \['<unk_7>'\] twice"):
        ours.PegasusTokenizer(FILES / "t5" / "spiece.model", additional_special_tokens=["<unk_7>"])
    with pytest.raises(TokenizerError, match=r"GPT2TokenizerFast needs a vocab_file .* and a merges_file"):
        ours.GPT2TokenizerFast(FILES / "vocab.json")
    llama = build_writing("llama")
    llama.eos_token = None
    with pytest.raises(TokenizerError, match="add_eos_token is on, but eos_token is None"):
        llama.add_eos_token = True


def test_rows_of_llama_may_change_later():
    llama = build_writing("llama")
    text = llama("the sea")["input_ids"]
    llama.add_eos_token, llama.add_bos_token = True, False
    assert (
        llama("the sea")["input_ids"] == [*text[1:], 2]
        and llama("the sea", "the sea")["input_ids"] == [*text[1:], 2] * 2
    )
    llama.eos_token = "<unk>"
    llama.update_post_processor()
    assert llama("the sea")["input_ids"] == [*text[1:], 0]
    assert build_writing("llama").padding_side == "left" and build_writing("llama", fast=False).padding_side == "right"


def test_rows_of_gpt2_with_a_beginning():
    """As in the reference, the plain class begins each text of a pair, the fast one only the row."""
    for fast, row in ((True, [0, 70, 71]), (False, [0, 70, 0, 71])):
        tokenizer = build_writing("gpt2-bos", fast=fast)
        texts = tokenizer.convert_ids_to_tokens([70, 71])
        assert tokenizer(*texts)["input_ids"] == row == tokenizer.build_inputs_with_special_tokens([70], [71])


def joined_greedily(text, scores):
    """SentencePiece's BPE as it is described: join the neighbours whose union has the highest score, the left ones
    among equals."""
    parts = list(text)
    while True:
        unions = [(scores[left + right], -n) for n, (left, right) in enumerate(zip(parts, parts[1:], strict=False))
                  if left + right in scores]  # fmt: skip
        if not unions:
            return parts
        place = -max(unions)[1]
        parts[place : place + 2] = [parts[place] + parts[place + 1]]


@settings(max_examples=150, deadline=None)
@given(words=st.lists(st.text("abc", min_size=2, max_size=5), min_size=1, max_size=12, unique=True),
       texts=st.lists(st.text("abc", min_size=1, max_size=12), min_size=1, max_size=5))  # fmt: skip
def test_merges_do_what_scores_say(words, texts):
    pieces = [
        Piece("<unk>", 0.0, 2),
        *(Piece(word, -float(n), NORMAL) for n, word in enumerate([*words, "a", "b", "c"])),
    ]
    scores = [(piece.text, piece.score) for piece in pieces]
    vocab = {text: index for index, (text, _) in enumerate(scores)}
    model = models.BPE(vocab, merges_of_pieces(pieces, scores, "x"), unk_token="<unk>", fuse_unk=True)
    for text in texts:
        assert [token.value for token in model.tokenize(text)] == joined_greedily(text, dict(scores))


def test_sentencepiece_bpe_is_bounded():
    model = PIECES + piece("x" * 513) + field(2, b"\x18\x02")
    read = parse_sentencepiece(model, "x.model", (BPE,))
    assert read.algorithm == BPE
    with pytest.raises(TokenizerError, match="x.model has a piece of 513 characters; in BPE models up to 512 are read"):
        merges_of_pieces(read.pieces, [(p.text, p.score) for p in read.pieces], "x.model")
    with pytest.raises(TokenizerError, match=r"type Unigram \(model_type 1\); only BPE \(2\) is read"):
        parse_sentencepiece(PIECES, "x.model", (BPE,))
    with pytest.raises(TokenizerError, match=r"type WORD \(model_type 3\); only Unigram \(1\) and BPE \(2\) are read"):
        parse_sentencepiece(PIECES + field(2, b"\x18\x03"), "x.model", (1, 2))


def test_switches_of_a_model():
    read = read_sentencepiece(FILES / "llama" / "tokenizer.model", (BPE,))
    assert read.add_dummy_prefix and not read.remove_extra_whitespaces and not read.charsmap
    assert parse_sentencepiece(PIECES + field(3, b"\x18\x00"), "x").add_dummy_prefix is False
