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
    import io

    import sentencepiece

    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        codes = [[" ".join(f"{ord(char):X}" for char in side) for side in rule] for rule in RULES]
        rules.write_text("".join(f"{key}\t{value}\n" for key, value in codes))
        common = {
            "model_type": "unigram",
            "normalization_rule_tsv": str(rules),
            "num_threads": 1,
            "minloglevel": 2,
            "hard_vocab_limit": False,
        }
        for name, size, options in (
            ("sentencepiece.bpe.model", 330, {"unk_id": 0, "bos_id": 1, "eos_id": 2}),
            ("spiece.model", 280, {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols":
                                   ["[CLS]", "[SEP]", "[MASK]"], "user_defined_symbols": ["(TM)", "7,", "$5,"]}),
        ):  # fmt: skip
            lines = TEXT if "bpe" in name else [line.lower() for line in TEXT]
            content = io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines), model_writer=content, vocab_size=size, **common, **options
            )
            (FILES / name).write_bytes(content.getvalue())


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

    texts = [*HOSTILE, *TEXT]
    return {
        "texts": texts,
        "pairs": [list(pair) for pair in PAIRS],
        "ids": {kind: build(kind)(texts)["input_ids"] for kind in KINDS},
        "pair_ids": {kind: build(kind)(PAIRS)["input_ids"] for kind in KINDS},
    }


if __name__ == "__main__":
    if "--train" in sys.argv:
        FILES.mkdir(exist_ok=True)
        train_sentencepiece()
        train_bpe()
        train_unigram_json()
    rows = golden()
    for part in ("ids", "pair_ids"):
        rows[part] = {kind: [" ".join(map(str, ids)) for ids in found] for kind, found in rows[part].items()}
    (HERE / "golden_ids.json").write_text(json.dumps(rows, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
