"""Every kind of tokeniser over the small vocabularies, ours and the reference's."""

import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from tokenizer_samples import vocabulary

FILES = Path(__file__).parent / "vocabularies"
KINDS = {
    "wordpiece": "BertTokenizerFast",
    "wordpiece-distilbert": "DistilBertTokenizerFast",
    "wordpiece-electra": "ElectraTokenizerFast",
    "byte-level-bpe": "RobertaTokenizerFast",
    "unigram-json": "PreTrainedTokenizerFast",
    "unigram-model-albert": "AlbertTokenizerFast",
    "unigram-model-xlm-roberta": "XLMRobertaTokenizerFast",
    "unigram-model-camembert": "CamembertTokenizerFast",
}
UNIGRAM_JSON_TOKENS = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>",
                       "mask_token": "<mask>"}  # fmt: skip


def files_of(kind: str) -> dict[str, str]:
    """The arguments that name the files of a kind."""
    if kind.startswith("wordpiece"):
        return {"vocab_file": str(_vocab_txt())}
    if kind == "byte-level-bpe":
        return {"vocab_file": str(FILES / "vocab.json"), "merges_file": str(FILES / "merges.txt")}
    if kind == "unigram-json":
        return {"tokenizer_file": str(FILES / "unigram.json"), **UNIGRAM_JSON_TOKENS}
    return {"vocab_file": str(FILES / ("spiece.model" if kind.endswith("albert") else "sentencepiece.bpe.model"))}


def build(kind: str, **options):
    """Our tokeniser."""
    import bothways.tokenizers

    return getattr(bothways.tokenizers, KINDS[kind])(**{**files_of(kind), **options})


def build_reference(transformers, kind: str, **options):
    """The reference's. For ``.model`` files its own converter runs with a stand-in for its slow class, which would need
    the package ``sentencepiece``: the converter asks it only for switches and for the ids of two tokens."""
    cls = getattr(transformers, KINDS[kind])
    if not kind.startswith("unigram-model"):
        return cls(**{**files_of(kind), **options})
    if kind.endswith("xlm-roberta"):  # the slow class would turn this flag on in passing
        from tokenizers import AddedToken

        options.setdefault("mask_token", AddedToken("<mask>", lstrip=True, rstrip=False, normalized=True))
    return cls(tokenizer_object=converted(transformers, kind, **options), **options)


def converted(transformers, kind: str, path=None, **options):
    """The engine that the reference's converter makes of a ``.model`` file."""
    from transformers.convert_slow_tokenizer import SLOW_TO_FAST_CONVERTERS

    path = path or files_of(kind)["vocab_file"]
    pieces = _pieces(path)
    ids = {
        "unigram-model-albert": pieces,
        "unigram-model-xlm-roberta": {"<s>": 0, "</s>": 2},
        "unigram-model-camembert": {token: index + 4 for token, index in pieces.items()},
    }[kind]
    slow = SimpleNamespace(
        vocab_file=str(path),
        do_lower_case=options.get("do_lower_case", True),
        keep_accents=options.get("keep_accents", False),
        convert_tokens_to_ids=ids.__getitem__,
    )
    return SLOW_TO_FAST_CONVERTERS[KINDS[kind].removesuffix("Fast")](slow).converted()


def _pieces(path) -> dict[str, int]:
    from transformers.convert_slow_tokenizer import import_protobuf

    proto = import_protobuf().ModelProto()
    proto.ParseFromString(Path(path).read_bytes())
    return {piece.piece: index for index, piece in enumerate(proto.pieces)}


@cache
def _vocab_txt() -> Path:
    path = Path(tempfile.mkdtemp(prefix="bothways-vocab-")) / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in vocabulary()), encoding="utf-8")
    return path
