"""Makes ``vocabularies/`` and ``golden_ids.json``: ``python make_vocabularies.py [--train]``.

Without ``--train`` only the golden ids are written again, from the files that are there; look at the difference before
you commit it. Training needs the package ``sentencepiece``, which nothing else here needs. The text is our own.
"""

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
FILES = HERE / "vocabularies"

TEXT = """
The lighthouse keeper wrote a letter every evening, and every morning the boat took it to the town.
Nobody in the town could read the letters, because the keeper wrote them in a language of the sea.
In 1,024 days she wrote 1,024 letters; 9,9 of ten were about the wind, the rest about bread.
It's unbelievable, isn't it? They've kept all of them, and we'll never know why they didn't answer.
Running, walking, sailing: the children learned the words for going before the words for staying.
The unhappiest postman was the happiest reader; reading is believing, said the readers of the town.
Der Leuchtturmwärter schrieb jeden Abend einen Brief, und morgens brachte ihn das Boot in die Stadt.
Die Straße war naß, die Mädchen aßen Äpfel, und über den Dächern flogen die Möwen.
Le gardien du phare écrivait une lettre chaque soir, et la ville n'a jamais répondu à ces lettres.
L'été dernier, les élèves ont mangé des pâtes à l'école; ça va très bien, merci beaucoup.
Смотритель маяка писал письмо каждый вечер, и каждое утро лодка везла его в город.
灯台の人は毎晩手紙を書いた。町の人は手紙を読まなかった。
שומר המגדלור כתב מכתב בכל ערב והעיר לא ענתה.
Boats, bread, wind, sea, letter, lighthouse: six words are enough for a short and happy life.
She said "good evening" to the sea and the sea said good evening to the lighthouse keeper.
What is the price of 3.5 kg of bread? It is 12,50 or 7,25 or 8,75, said the baker (who never lied).
""".strip().split("\n")

RULES = [("ﬁ", "fi"), ("ﬂ", "fl"), ("\t", " "), ("\n", " "), ("\r", " "), ("\u00a0", " "), ("\u3000", " "),
         ("\u200b", " "), ("…", "..."), ("½", "1/2"), ("ﷺ", "صلى الله عليه وسلم"), ("e\u0301", "é"), ("\u00ad", ""),
         *[(chr(0xFEE0 + code), chr(code)) for code in range(0x21, 0x7F)]]  # fmt: skip


def train_sentencepiece() -> None:
    """Two small Unigram models: ``unk, <s>, </s>`` as XLM-RoBERTa's, and ``<pad> <unk> [CLS] ...`` as ALBERT's."""
    with tempfile.TemporaryDirectory() as folder:
        rules = str(rules_file(Path(folder)))
        for name, size, options in (
            ("sentencepiece.bpe.model", 330, {"unk_id": 0, "bos_id": 1, "eos_id": 2}),
            ("spiece.model", 280, {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols":
                                   ["[CLS]", "[SEP]", "[MASK]"], "user_defined_symbols": ["(TM)", "7,", "$5,"]}),
        ):  # fmt: skip
            lines = TEXT if "bpe" in name else [line.lower() for line in TEXT]
            content = sentencepiece_model(lines, vocab_size=size, normalization_rule_tsv=rules, **options)
            (FILES / name).write_bytes(content)


def rules_file(folder: Path) -> Path:
    rules = folder / "rules.tsv"
    codes = [[" ".join(f"{ord(char):X}" for char in side) for side in rule] for rule in RULES]
    rules.write_text("".join(f"{key}\t{value}\n" for key, value in codes))
    return rules


def sentencepiece_model(lines: list[str], **options) -> bytes:
    import io

    import sentencepiece

    content = io.BytesIO()
    given = {"model_type": "unigram", "num_threads": 1, "minloglevel": 2, "hard_vocab_limit": False, **options}
    if given["model_type"] == "bpe":
        del given["hard_vocab_limit"]  # of Unigram alone
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=content, **given)
    return content.getvalue()


def train_writing() -> None:
    """Models of the writing families: ``<pad> </s> <unk>`` as T5's, BPE with bytes as Llama's, a pair as Marian's."""
    with tempfile.TemporaryDirectory() as folder:
        german, english = TEXT[6:8] * 3, TEXT[:6] + TEXT[13:]
        for name, lines, options in (
            ("t5/spiece.model", TEXT, {"vocab_size": 320, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}),
            ("llama/tokenizer.model", TEXT, {"vocab_size": 520, "model_type": "bpe", "byte_fallback": True,
                                             "normalization_rule_name": "identity", "remove_extra_whitespaces": False}),
            ("marian/source.spm", english, {"vocab_size": 150}),
            ("marian/target.spm", german, {"vocab_size": 90, "unk_id": 1, "bos_id": -1, "eos_id": 0}),
        ):  # fmt: skip
            if "normalization_rule_name" not in options:
                options["normalization_rule_tsv"] = str(rules_file(Path(folder)))
            (FILES / name).parent.mkdir(exist_ok=True)
            (FILES / name).write_bytes(sentencepiece_model(lines, **options))
    marian_vocabulary()


def marian_vocabulary() -> None:
    """``</s> <unk>``, then the pieces of both languages, codes of languages, ``<pad>``."""
    from bothways.tokenizers.sentencepiece_model import NORMAL, read_sentencepiece

    models = [read_sentencepiece(FILES / "marian" / f"{side}.spm") for side in ("source", "target")]
    pieces = [piece.text for model in models for piece in model.pieces if piece.kind == NORMAL]
    entries = ["</s>", "<unk>", *pieces, ">>de<<", ">>fr<<", "東京", "🧑", "<pad>"]
    write("marian/vocab.json", {token: index for index, token in enumerate(dict.fromkeys(entries))})


def train_openai_gpt() -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.BertNormalizer(lowercase=True)
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>", "<pad>"], end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(TEXT, trainer)
    model = json.loads(learner.to_str())["model"]
    (FILES / "openai-gpt").mkdir(exist_ok=True)
    write("openai-gpt/vocab.json", model["vocab"])
    merges = "".join(f"{first} {second}\n" for first, second in model["merges"])
    (FILES / "openai-gpt" / "merges.txt").write_text(f"#version: 0.2\n{merges}", encoding="utf-8")


def train_bpe() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=460,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator(TEXT, trainer)
    model = json.loads(learner.to_str())["model"]
    vocab = {**model["vocab"], "<mask>": len(model["vocab"])}
    write("vocab.json", vocab)
    merges = "".join(f"{first} {second}\n" for first, second in model["merges"])
    (FILES / "merges.txt").write_text(f"#version: 0.2\n{merges}", encoding="utf-8")


def train_unigram_json() -> None:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    engine = Tokenizer(models.Unigram())
    engine.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    engine.decoder = decoders.Metaspace(prepend_scheme="always")
    special = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False)
    engine.train_from_iterator(TEXT, trainer)
    engine.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    write("unigram.json", json.loads(engine.to_str()))


def write(name: str, value) -> None:
    (FILES / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def golden() -> dict:
    """The ids of every hostile text and pair under every kind of tokeniser."""
    from tokenizer_kinds import KINDS, build
    from tokenizer_samples import HOSTILE, PAIRS
    from writing_kinds import WRITING, build_writing

    texts = [*HOSTILE, *TEXT]
    tokenizers = {kind: build(kind) for kind in KINDS} | {kind: build_writing(kind) for kind in WRITING}
    return {
        "texts": texts,
        "pairs": [list(pair) for pair in PAIRS],
        "ids": {kind: tokenizer(texts)["input_ids"] for kind, tokenizer in tokenizers.items()},
        "pair_ids": {kind: tokenizer(PAIRS)["input_ids"] for kind, tokenizer in tokenizers.items()},
        "plain_texts": {
            kind: plain_texts(kind, texts) for kind in ("t5", "mbart50", "pegasus", "llama", "llama-new", "marian")
        },
        "target_ids": {
            kind: tokenizers[kind](text_target=texts)["input_ids"] for kind in ("mbart", "mbart50", "marian")
        },
    }


def plain_texts(kind: str, texts: list[str]) -> list[str]:
    """What the plain class makes of the ids of ``texts``."""
    from writing_kinds import build_writing

    plain = build_writing(kind, fast=False)
    return [plain.decode(ids) for ids in plain(text_target=texts)["input_ids"]]


if __name__ == "__main__":
    if "--train" in sys.argv:
        FILES.mkdir(exist_ok=True)
        train_sentencepiece()
        train_bpe()
        train_unigram_json()
        train_openai_gpt()
        train_writing()
    rows = golden()
    for part in ("ids", "pair_ids", "target_ids"):
        rows[part] = {kind: [" ".join(map(str, ids)) for ids in found] for kind, found in rows[part].items()}
    (HERE / "golden_ids.json").write_text(json.dumps(rows, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
