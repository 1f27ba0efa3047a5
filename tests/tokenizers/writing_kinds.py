"""The tokenisers that write, over small vocabularies, ours and the reference's."""

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from tokenizer_kinds import FILES
from tokenizers import AddedToken

BPE = {"vocab_file": str(FILES / "vocab.json"), "merges_file": str(FILES / "merges.txt")}
GPT = {name: str(FILES / "openai-gpt" / Path(file).name) for name, file in BPE.items()}
T5 = {"vocab_file": str(FILES / "t5" / "spiece.model")}
MBART = {"vocab_file": str(FILES / "sentencepiece.bpe.model")}
LLAMA = {"vocab_file": str(FILES / "llama" / "tokenizer.model")}
MARIAN = {name: str(FILES / "marian" / file) for name, file in
          (("source_spm", "source.spm"), ("target_spm", "target.spm"), ("vocab", "vocab.json"))}  # fmt: skip
PAD = {"pad_token": "<pad>"}
SPECIAL_GPT2 = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "</s>", **PAD}

# kind -> plain class, files, options
WRITING = {
    "gpt2": ("GPT2Tokenizer", BPE, PAD),
    "gpt2-bos": ("GPT2Tokenizer", BPE, {**SPECIAL_GPT2, "add_bos_token": True}),
    "openai-gpt": ("OpenAIGPTTokenizer", GPT, PAD),
    "bart": ("BartTokenizer", BPE, {}),
    "t5": ("T5Tokenizer", T5, {}),
    "t5-new": ("T5Tokenizer", T5, {"legacy": False, "extra_ids": 5}),
    "mbart": ("MBartTokenizer", MBART, {"tgt_lang": "ro_RO"}),
    "mbart50": ("MBart50Tokenizer", MBART, {"src_lang": "de_DE", "tgt_lang": "ro_RO"}),
    "pegasus": ("PegasusTokenizer", T5, {}),
    "pegasus-bigbird": ("PegasusTokenizer", T5, {"offset": 0, "mask_token_sent": None, "mask_token": "<mask>",
                                                 "additional_special_tokens": []}),
    "llama": ("LlamaTokenizer", LLAMA, {"pad_token": "</s>"}),
    "llama-new": ("LlamaTokenizer", LLAMA, {"pad_token": "<unk>", "legacy": False, "add_eos_token": True}),
    "llama-bare": ("LlamaTokenizer", LLAMA, {"pad_token": "<unk>", "legacy": False, "add_prefix_space": False,
                                             "add_bos_token": False}),
    "marian": ("MarianTokenizer", MARIAN, {}),
}  # fmt: skip
FAST = [kind for kind in WRITING if kind != "marian"]
SENTENCEPIECE = [kind for kind, (_, files, _) in WRITING.items() if files in (T5, MBART, LLAMA)]


def build_writing(kind, fast=True, **options):
    """Our tokeniser."""
    import bothways.tokenizers

    name, files, own = WRITING[kind]
    return getattr(bothways.tokenizers, name + ("Fast" if fast and kind in FAST else ""))(**files, **own, **options)


def build_reference(transformers, kind, **options):
    """The reference's fast one. For SentencePiece its own converter runs with a stand-in for the slow class, which
    would need the package ``sentencepiece``: the converter asks it only for switches and a few tokens."""
    name, files, own = WRITING[kind]
    cls = getattr(transformers, f"{name}Fast")
    if kind not in SENTENCEPIECE:
        return cls(**files, **own, **options)
    options = {name: value for name, value in {**own, **options}.items() if name != "add_prefix_space"}
    if name.startswith("MBart"):  # the slow class would turn this flag on in passing
        options["mask_token"] = AddedToken("<mask>", lstrip=True, rstrip=False, normalized=True)
    return cls(tokenizer_object=converted(transformers, kind), **options)


def converted(transformers, kind):
    """The engine that the reference's converter makes of a ``.model`` file."""
    # By its path: the package also exports a function of that name, and which one it gives is a matter of order.
    reference = import_module("transformers.convert_slow_tokenizer")
    name, files, own = WRITING[kind]
    proto = reference.import_protobuf().ModelProto()
    with open(files["vocab_file"], "rb") as file:
        proto.ParseFromString(file.read())
    pieces = [piece.piece for piece in proto.pieces]
    converter = reference.SLOW_TO_FAST_CONVERTERS[name]

    class Extractor:  # the reference's needs the package for no more than the names of the pieces
        def __init__(self, path):
            pass

        def extract(self, scores):
            vocab = {piece: index for index, piece in enumerate(pieces)}
            return vocab, reference.generate_merges(vocab, scores)

    class Converter(converter):
        SpmExtractor = Extractor

    slow = {
        "T5Tokenizer": {"_extra_ids": own.get("extra_ids", 100), "convert_tokens_to_ids": pieces.index},
        "MBartTokenizer": {"convert_tokens_to_ids": lambda token: 2 if token == "</s>" else len(pieces) + 4},
        "MBart50Tokenizer": {"convert_tokens_to_ids": lambda token: 2 if token == "</s>" else len(pieces) + 4},
        "PegasusTokenizer": {"pad_token": "<pad>", "eos_token": "</s>", "eos_token_id": 1, "mask_token_id": 3,
                             "mask_token": "<mask_2>", "mask_token_sent": "<mask_1>", "offset": 103, **own},
        "LlamaTokenizer": {"convert_ids_to_tokens": pieces.__getitem__},
    }[name]  # fmt: skip
    switches = {"legacy": own.get("legacy", True), "add_prefix_space": own.get("add_prefix_space", True)}
    return Converter(SimpleNamespace(vocab_file=files["vocab_file"], **switches, **slow)).converted()
