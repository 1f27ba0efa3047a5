"""``AutoTokenizer``: the right class for a directory, from a closed table. No class is ever loaded from a directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from bothways.errors import TokenizerError, nearest
from bothways.files import read_json
from bothways.tokenizers.albert import AlbertTokenizer, AlbertTokenizerFast
from bothways.tokenizers.bart import BartTokenizer, BartTokenizerFast
from bothways.tokenizers.base import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from bothways.tokenizers.bert import (
    BertTokenizer,
    BertTokenizerFast,
    DistilBertTokenizer,
    DistilBertTokenizerFast,
    ElectraTokenizer,
    ElectraTokenizerFast,
)
from bothways.tokenizers.gpt2 import GPT2Tokenizer, GPT2TokenizerFast
from bothways.tokenizers.llama import LlamaTokenizer, LlamaTokenizerFast
from bothways.tokenizers.loading import CONFIG, find_model, load_tokenizer
from bothways.tokenizers.marian import MarianTokenizer
from bothways.tokenizers.mbart import MBart50Tokenizer, MBart50TokenizerFast, MBartTokenizer, MBartTokenizerFast
from bothways.tokenizers.openai_gpt import OpenAIGPTTokenizer, OpenAIGPTTokenizerFast
from bothways.tokenizers.pegasus import PegasusTokenizer, PegasusTokenizerFast
from bothways.tokenizers.roberta import RobertaTokenizer, RobertaTokenizerFast
from bothways.tokenizers.t5 import T5Tokenizer, T5TokenizerFast
from bothways.tokenizers.xlm_roberta import (
    CamembertTokenizer,
    CamembertTokenizerFast,
    XLMRobertaTokenizer,
    XLMRobertaTokenizerFast,
)


class Classes(NamedTuple):
    """The two classes of a family; ``plain`` is None where the ecosystem has only the fast one.

    Where it has only the plain one (Marian), that stands for both.
    """

    plain: type[PreTrainedTokenizerBase] | None
    fast: type[PreTrainedTokenizerBase]


# model_type in config.json -> classes. A family adds its line here.
TOKENIZERS: dict[str, Classes] = {
    "albert": Classes(AlbertTokenizer, AlbertTokenizerFast),
    "bart": Classes(BartTokenizer, BartTokenizerFast),
    "bert": Classes(BertTokenizer, BertTokenizerFast),
    "camembert": Classes(CamembertTokenizer, CamembertTokenizerFast),
    "distilbert": Classes(DistilBertTokenizer, DistilBertTokenizerFast),
    "electra": Classes(ElectraTokenizer, ElectraTokenizerFast),
    "gpt2": Classes(GPT2Tokenizer, GPT2TokenizerFast),
    "llama": Classes(LlamaTokenizer, LlamaTokenizerFast),
    "marian": Classes(MarianTokenizer, MarianTokenizer),
    "mbart": Classes(MBartTokenizer, MBartTokenizerFast),
    "mbart50": Classes(MBart50Tokenizer, MBart50TokenizerFast),
    "mistral": Classes(LlamaTokenizer, LlamaTokenizerFast),
    "modernbert": Classes(None, PreTrainedTokenizerFast),
    "openai-gpt": Classes(OpenAIGPTTokenizer, OpenAIGPTTokenizerFast),
    "pegasus": Classes(PegasusTokenizer, PegasusTokenizerFast),
    "roberta": Classes(RobertaTokenizer, RobertaTokenizerFast),
    "t5": Classes(T5Tokenizer, T5TokenizerFast),
    "xlm-roberta": Classes(XLMRobertaTokenizer, XLMRobertaTokenizerFast),
}
# Names in tokenizer_config.json of classes without a family: all they need is in tokenizer.json.
GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")


class AutoTokenizer:
    """Loads the tokeniser of any model whose family is known. Not to be instantiated."""

    def __init__(self) -> None:
        raise TokenizerError("AutoTokenizer is used as AutoTokenizer.from_pretrained(name_or_path).")

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *, use_fast: bool = True, **kwargs: Any
    ) -> Any:
        """Load the tokeniser of a model.

        Args:
            pretrained_model_name_or_path: a directory or a model name.
            use_fast: False chooses the plain class of the family, where there is one.
            kwargs: as for ``PreTrainedTokenizerBase.from_pretrained``.

        Raises:
            ModelNotFoundError: the name leads nowhere.
            TokenizerError: the class is unknown, or the files are missing, damaged or unsafe.
        """
        found = find_model(pretrained_model_name_or_path, kwargs)
        if not found.is_dir():
            raise TokenizerError(
                f"{found} is a file, which does not say its class. Use BertTokenizerFast.from_pretrained."
            )
        tokenizer = load_tokenizer(choose_class(found, use_fast), found, kwargs)
        tokenizer.name_or_path = str(pretrained_model_name_or_path)
        return tokenizer


def choose_class(directory: Path, use_fast: bool = True) -> type[PreTrainedTokenizerBase]:
    """The class that ``tokenizer_config.json`` names, or else the one of the model type in ``config.json``."""
    model_config = _read(directory / "config.json")
    name = _read(directory / CONFIG).get("tokenizer_class") or model_config.get("tokenizer_class")
    if name is not None:
        return _class_by_name(str(name), directory, use_fast)
    model_type = model_config.get("model_type")
    if model_type is not None:
        if model_type not in TOKENIZERS:
            raise TokenizerError(_unknown("model_type", str(model_type), directory, list(TOKENIZERS)))
        return _choose(TOKENIZERS[model_type], use_fast)
    if (directory / "tokenizer.json").is_file():
        return PreTrainedTokenizerFast
    raise TokenizerError(
        f"{directory} has neither a tokenizer_class in {CONFIG}, nor a model_type in config.json, nor a "
        f"tokenizer.json. Files: {', '.join(sorted(p.name for p in directory.iterdir())[:10]) or 'none'}."
    )


def _class_by_name(name: str, directory: Path, use_fast: bool) -> type[PreTrainedTokenizerBase]:
    if name in GENERIC:
        return PreTrainedTokenizerFast
    for classes in TOKENIZERS.values():
        if name in [known.__name__ for known in classes if known is not None]:
            return _choose(classes, use_fast)
    known = [c.__name__ for classes in TOKENIZERS.values() for c in classes if c is not None]
    raise TokenizerError(_unknown("tokenizer_class", name, directory, [*known, *GENERIC]))


def _choose(classes: Classes, use_fast: bool) -> type[PreTrainedTokenizerBase]:
    return classes.plain if classes.plain is not None and not use_fast else classes.fast


def _unknown(what: str, name: str, directory: Path, known: list[str]) -> str:
    near = nearest(name, known, most=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{directory} has the unknown {what} {name!r}.{hint} Known: {', '.join(known)}."


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path, error=TokenizerError) if path.is_file() else {}
    if not isinstance(content, dict):
        raise TokenizerError(f"{path} should hold an object, not {type(content).__name__}.")
    return content
