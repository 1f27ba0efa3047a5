"""Tiny random models under the names that tutorials use, made by the reference library and read by every other one."""

from __future__ import annotations

import string
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tokenizers"))

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """
    i the a an is was are it in at of on and for to this that we you my your me her with who where what how many from
    love hate film movie great terrible good bad wait ##ing ##ed ##s ##ly course school food book paris london berlin
    capital france germany born anna berg peter lind sylvain clara works lives wrote new york company about politics
    sports science election vote team won game price music plays guitar eats apple cat dog not no yes because word
""".split()  # noqa: SIM905 - a list of words reads better as text
LETTERS = [*string.ascii_lowercase, *string.digits]
VOCABULARY = list(
    dict.fromkeys(
        [*SPECIAL, *string.punctuation, *LETTERS, *(f"##{c}" for c in LETTERS), *WORDS, "##berg", "##ann", "##lind"]
    )
)

NER = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
NLI = ["CONTRADICTION", "NEUTRAL", "ENTAILMENT"]
SENTIMENT = ["NEGATIVE", "POSITIVE"]
EMOTIONS = ["anger", "joy", "fear", "love"]

SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
POSITIONS = 64
FAMILIES: dict[str, tuple[str, str, dict]] = {
    "bert": ("Bert", "wordpiece", {**SIZES, **NO_DROPOUT}),
    "distilbert": (
        "DistilBert",
        "wordpiece-distilbert",
        {
            "dim": 24,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 40,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "seq_classif_dropout": 0.0,
            "qa_dropout": 0.0,
        },
    ),  # fmt: skip
    "roberta": ("Roberta", "byte-level-bpe", {**SIZES, **NO_DROPOUT, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", "unigram-model-xlm-roberta", {**SIZES, **NO_DROPOUT, "type_vocab_size": 1}),
    "camembert": ("Camembert", "unigram-model-camembert", {**SIZES, **NO_DROPOUT, "type_vocab_size": 1}),
    "albert": ("Albert", "unigram-model-albert", {**SIZES, "embedding_size": 12, "classifier_dropout_prob": 0.0}),
    "electra": ("Electra", "wordpiece-electra", {**SIZES, **NO_DROPOUT, "embedding_size": 12}),
    "modernbert": ("ModernBert", "byte-level-bpe", {**SIZES, "local_attention": 16}),
}
"""model_type: beginning of the class names, kind of tokeniser, configuration."""

HEADS = {
    "base": "Model",
    "masked-lm": "ForMaskedLM",
    "multiple-choice": "ForMultipleChoice",
    "question-answering": "ForQuestionAnswering",
    "sequence-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "next-sentence-prediction": "ForNextSentencePrediction",
    "pretraining": "ForPreTraining",
}

NAMED: dict[str, tuple[str, str, list[str] | None]] = {
    "bert-base-uncased": ("bert", "pretraining", None),
    "bert-base-mrpc": ("bert", "sequence-classification", ["not_equivalent", "equivalent"]),
    "bert-base-swag": ("bert", "multiple-choice", None),
    "bert-emotions": ("bert", "sequence-classification", EMOTIONS),
    "bert-large-ner": ("bert", "token-classification", NER),
    "camembert-base": ("camembert", "masked-lm", None),
    "distilbert-base-uncased": ("distilbert", "masked-lm", None),
    "distilbert-sst-2": ("distilbert", "sequence-classification", SENTIMENT),
    "distilbert-squad": ("distilbert", "question-answering", None),
    "distilroberta-base": ("roberta", "masked-lm", None),
    "electra-small": ("electra", "base", None),
    "all-minilm": ("bert", "base", None),
    "roberta-large-mnli": ("roberta", "sequence-classification", NLI),
    "xlm-roberta-ner": ("xlm-roberta", "token-classification", NER),
    "albert-base": ("albert", "sequence-classification", SENTIMENT),
    "modernbert-base": ("modernbert", "masked-lm", None),
}
"""Directory: family, head, labels."""


PREFIXES = {
    "summarization": {"prefix": "summarize: ", "num_beams": 2, "no_repeat_ngram_size": 3},
    "translation_en_to_de": {"prefix": "translate English to German: "},
    "translation_en_to_fr": {"prefix": "translate English to French: "},
}
SIDES = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in
         (("layers", 2), ("attention_heads", 4), ("ffn_dim", 40))}  # fmt: skip
WRITERS: dict[str, tuple[str, str, dict, dict]] = {
    "gpt2": ("GPT2LMHeadModel", "gpt2", {"n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS}, {}),
    "t5-small": (
        "T5ForConditionalGeneration",
        "t5",
        {"d_model": 24, "d_kv": 6, "d_ff": 40, "num_layers": 2, "num_heads": 4, "task_specific_params": PREFIXES},
        {},
    ),
    "bart-large-cnn": (
        "BartForConditionalGeneration",
        "bart",
        {"d_model": 24, **SIDES, "max_position_embeddings": 2 * POSITIONS},
        {"max_length": 30, "min_length": 4, "num_beams": 3, "length_penalty": 2.0, "no_repeat_ngram_size": 3},
    ),
    "mbart-large-cc25": (
        "MBartForConditionalGeneration",
        "mbart",
        {"d_model": 24, **SIDES, "max_position_embeddings": POSITIONS},
        {},
    ),
}
"""Directory: class, kind of tokeniser, configuration, settings of generation."""


def make_all(root: Path) -> Path:
    """Make every named directory that is not there yet. Needs the reference library in version 4."""
    for name in WRITERS:
        if not (root / name / "config.json").exists():
            make_writer(root / name, *WRITERS[name])
    for name in NAMED:
        if not (root / name / "config.json").exists():
            make(root / name, *NAMED[name])
    return root


def make(directory: Path, family: str, head: str, labels: list[str] | None = None) -> Path:
    """Save a random model with its tokeniser."""
    import torch
    import transformers

    prefix, kind, settings = FAMILIES[family]
    tokenizer = _tokenizer(transformers, kind)
    named: dict = (
        {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}} if labels else {}
    )
    if labels is EMOTIONS:
        named["problem_type"] = "multi_label_classification"
    offset = tokenizer.pad_token_id + 1 if kind.startswith(("byte", "unigram-model-x", "unigram-model-c")) else 0
    special = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id") for n in ("pad", "cls", "sep", "bos", "eos")}
    config = getattr(transformers, f"{prefix}Config")(
        **settings,
        **named,
        **{key: value for key, value in special.items() if value is not None},
        vocab_size=len(tokenizer),
        max_position_embeddings=POSITIONS + (offset if family != "modernbert" else 0),
        initializer_range=0.2,
    )
    torch.manual_seed(sum(map(ord, directory.name)))
    model = getattr(transformers, prefix + HEADS[head])(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases start at zero and norms at one: let them matter
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(directory)
    tokenizer.model_max_length = POSITIONS
    tokenizer.save_pretrained(directory)
    return directory


def make_writer(directory: Path, cls: str, kind: str, settings: dict, writing: dict) -> Path:
    """Save a random model that writes, with its tokeniser (ours: the reference's needs a package for SentencePiece)."""
    import torch
    import transformers
    from writing_kinds import build_writing

    tokenizer = build_writing(kind)
    model_class = getattr(transformers, cls)
    special = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id") for n in ("pad", "bos", "eos")}
    if kind in ("t5", "bart", "mbart"):
        special["decoder_start_token_id"] = tokenizer.pad_token_id if kind == "t5" else tokenizer.eos_token_id
    special = {name: value for name, value in special.items() if value is not None}
    config = model_class.config_class(**settings, **special, vocab_size=len(tokenizer))
    torch.manual_seed(sum(map(ord, directory.name)))
    model = model_class(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2).add_(torch.randn_like(parameter) * 0.1)
    model.generation_config.update(**writing)
    model.save_pretrained(directory)
    tokenizer.model_max_length = 2 * POSITIONS if kind == "bart" else POSITIONS
    tokenizer.save_pretrained(directory)
    return directory


def _tokenizer(transformers, kind: str):
    from tokenizer_kinds import KINDS, build_reference

    if not kind.startswith("wordpiece"):
        options = {"add_prefix_space": False} if kind == "byte-level-bpe" else {}
        return build_reference(transformers, kind, **options)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
        return getattr(transformers, KINDS[kind])(vocab_file=str(path))
