"""Writing a tokeniser in the ecosystem's files; each file is written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from bothways.errors import TokenizerError
from bothways.files import write_json, write_text

PRIVATE = (
    "name_or_path",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "source_spm",
    "target_spm",
    "vocab",
    "target_vocab_file",
    "special_tokens_map_file",
    "auto_map",
    "device_map",
)


class Saving:
    """Mixin: ``save_pretrained`` and ``save_vocabulary``."""

    def save_pretrained(
        self: Any,
        save_directory: str | os.PathLike[str],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> tuple[str, ...]:
        """Write the files that ``from_pretrained`` (here and in the reference library) reads.

        Args:
            save_directory: created if missing.
            legacy_format: True leaves ``tokenizer.json`` out, False leaves the family's vocabulary file out.
            filename_prefix: put before each file name, with a dash.

        Returns:
            The paths of the files.
        """
        if push_to_hub:
            raise TokenizerError("push_to_hub is not supported. Save to a directory and upload it.")
        directory = Path(save_directory)
        if directory.exists() and not directory.is_dir():
            raise TokenizerError(f"{directory} is a file. Pass a directory.")
        directory.mkdir(parents=True, exist_ok=True)
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        config = directory / f"{prefix}tokenizer_config.json"
        special = directory / f"{prefix}special_tokens_map.json"
        write_json(config, self._config_to_save())
        write_json(special, _plain(self.special_tokens_map_extended, typed=False))
        written = [str(config), str(special)]
        if legacy_format is not False:
            vocabulary = self.save_vocabulary(directory, filename_prefix)
            if legacy_format and not vocabulary:
                raise TokenizerError(
                    f"legacy_format=True leaves tokenizer.json out, but this {type(self).__name__} has no vocabulary "
                    "file that says the same. Leave legacy_format out."
                )
            written += vocabulary
            added = {token: i for token, i in self.added_tokens_encoder.items() if i >= self.vocab_size}
            if written[2:] and added:
                write_json(directory / f"{prefix}added_tokens.json", added)
                written.append(str(directory / f"{prefix}added_tokens.json"))
        if legacy_format is not True:
            path = directory / f"{prefix}tokenizer.json"
            write_text(path, self._tokenizer.to_str(pretty=True))
            written.append(str(path))
        return tuple(written)

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the vocabulary file of the family, if it has one; return the paths."""
        return ()

    def _config_to_save(self: Any) -> dict[str, Any]:
        config = {key: value for key, value in self.init_kwargs.items() if key not in PRIVATE}
        for name in (*config, "model_max_length", "clean_up_tokenization_spaces"):
            if hasattr(self, name) and not callable(getattr(self, name)):
                config[name] = getattr(self, name)
        config.update(self.special_tokens_map)  # texts; their flags are in added_tokens_decoder
        config.setdefault("extra_special_tokens", {})
        config = _plain(config, typed=True)
        config["added_tokens_decoder"] = {
            str(index): _token_fields(token) for index, token in self.added_tokens_decoder.items()
        }
        config["tokenizer_class"] = self._saved_class_name()
        return dict(sorted(config.items()))

    def _saved_class_name(self) -> str:
        """The name under which every version of the reference library finds the class: that of the plain one."""
        name = type(self).__name__
        return name if name == "PreTrainedTokenizerFast" else name.removesuffix("Fast")


def _plain(value: Any, *, typed: bool) -> Any:
    """``value`` as JSON: added tokens become objects, everything that JSON cannot say becomes text."""
    if isinstance(value, AddedToken):
        fields = _token_fields(value)
        if typed:
            fields["__type"] = "AddedToken"
        else:
            del fields["special"]  # readers of special_tokens_map.json set it themselves
        return fields
    if isinstance(value, dict):
        return {str(key): _plain(item, typed=typed) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item, typed=typed) for item in value]
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return str(value)
    return value


def _token_fields(token: AddedToken) -> dict[str, Any]:
    return {
        "content": token.content,
        "lstrip": token.lstrip,
        "normalized": token.normalized,
        "rstrip": token.rstrip,
        "single_word": token.single_word,
        "special": token.special,
    }
