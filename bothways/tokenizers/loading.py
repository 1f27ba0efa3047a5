"""From a directory to the arguments of a tokeniser class. Reads JSON and text; executes nothing, follows no paths.

Which file wins, as in the ecosystem: arguments of the call, then ``added_tokens_decoder`` in ``tokenizer_config.json``
(or, in older directories without it, ``special_tokens_map.json``, ``added_tokens.json`` and the added tokens of
``tokenizer.json``), then the rest of ``tokenizer_config.json``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from bothways.errors import TokenizerError
from bothways.files import read_json
from bothways.tokenizers.special_tokens import ADDITIONAL, NAMES

CONFIG, SPECIAL, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
_FIND = ("revision", "token", "cache_dir", "local_files_only")
_IGNORED = ("trust_remote_code", "use_fast", "force_download", "resume_download", "proxies", "use_auth_token",
            "from_slow", "_from_auto", "_commit_hash", "tokenizer_type", "config", "code_revision")  # fmt: skip
# Never taken from a file: they would name code or other files.
_NOT_FROM_FILES = ("auto_map", "tokenizer_class", "tokenizer_file", "vocab_file", "merges_file", "tokenizer_object",
                   "source_spm", "target_spm", "vocab", "target_vocab_file", "tokenizer_config_file",
                   "init_inputs", "name_or_path", "copy_engine", "special_tokens_map_file", "processor_class", "self",
                   "slow_tokenizer_class", "vocab_files", "gguf_file", "backend", "is_local", *_FIND,
                   *_IGNORED)  # fmt: skip
_TOKEN_FIELDS = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")


def find_model(name_or_path: str | os.PathLike[str], kwargs: dict[str, Any]) -> Path:
    """The directory (or single file) to load from; takes the arguments for finding it out of ``kwargs``."""
    find = {key: kwargs.pop(key) for key in _FIND if key in kwargs}
    subfolder = kwargs.pop("subfolder", "")
    for key in _IGNORED:
        kwargs.pop(key, None)
    path = Path(name_or_path)
    if not path.exists():
        from bothways.resolver import resolve_model

        path = resolve_model(name_or_path, **find)
    if not subfolder:
        return _of_encoder(path, find)
    if Path(subfolder).is_absolute() or ".." in Path(subfolder).parts:
        raise TokenizerError(f"subfolder {subfolder!r} leads out of the model directory.")
    return path / subfolder


def _of_encoder(path: Path, find: dict[str, Any]) -> Path:
    """The directory of the encoder, if ``path`` is an adapter that has no tokeniser files."""
    if not path.is_dir():
        return path
    from bothways.resolver.adapters import tokenizer_directory

    return tokenizer_directory(path, **{key: value for key, value in find.items() if key != "revision"})


def load_tokenizer(cls: Any, name_or_path: str | os.PathLike[str], kwargs: dict[str, Any]) -> Any:
    """Build ``cls`` from the files of a model."""
    kwargs = dict(kwargs)
    path = find_model(name_or_path, kwargs)
    if path.is_file():
        files = {_file_kind(cls, path): path}
        arguments = kwargs
    else:
        present = {kind: path / name for kind, name in cls.vocab_files_names.items() if (path / name).is_file()}
        files = cls._files_to_use(present) if hasattr(cls, "_files_to_use") else present
        if "tokenizer_file" not in files and not all(kind in files for kind in needed_files(cls)):
            raise TokenizerError(_missing(cls, path, present))
        arguments = read_arguments(path, kwargs, "tokenizer_file" in files)
    return cls(**{**files, **arguments, "name_or_path": str(name_or_path)})


def needed_files(cls: Any) -> list[str]:
    """The kinds of files without which a class cannot be built, if there is no ``tokenizer.json``."""
    return [kind for kind in cls.vocab_files_names if kind not in ("tokenizer_file", *cls.optional_files)]


def read_arguments(directory: Path, given: dict[str, Any], has_engine_file: bool) -> dict[str, Any]:
    """The arguments that the small files of a directory state, overridden by ``given``."""
    config = _object(directory / CONFIG)
    arguments = {key: value for key, value in config.items() if key not in _NOT_FROM_FILES}
    arguments.update(given)
    declared: dict[int, AddedToken] = {}
    if "added_tokens_decoder" in arguments:
        for index, token in _dict(arguments["added_tokens_decoder"], CONFIG).items():
            declared[_index(index, token)] = _token(token, "added_tokens_decoder")
    else:
        _read_special_tokens_map(directory / SPECIAL, given, arguments)
        declared = _read_added_tokens(directory / ADDED, arguments)
        if has_engine_file:
            content = _dict(read_json(directory / "tokenizer.json", error=TokenizerError), "tokenizer.json")
            for entry in content.get("added_tokens") or []:
                declared[_index(_dict(entry, "added_tokens").get("id"), entry)] = _token(entry, "tokenizer.json")
    by_name = {token.content: token for token in declared.values()}
    for name in (*NAMES, ADDITIONAL):
        value = arguments.get(name)
        if isinstance(value, list):
            arguments[name] = [_special(item, name) for item in value]
        elif value is not None:
            token = _special(value, name)
            arguments[name] = by_name.get(str(token), token)
    arguments["added_tokens_decoder"] = declared
    return arguments


def _file_kind(cls: Any, path: Path) -> str:
    by_suffix = {Path(name).suffix: kind for kind, name in cls.vocab_files_names.items()}
    if path.suffix not in by_suffix:
        wanted = " or ".join(cls.vocab_files_names.values())
        raise TokenizerError(f"{path} is no file that {cls.__name__} reads. Pass a directory or {wanted}.")
    return by_suffix[path.suffix]


def _missing(cls: Any, directory: Path, present: dict[str, Path]) -> str:
    """The sentence for a directory without the files of a class. What is there is named, at most ten names."""
    names = cls.vocab_files_names
    needed = needed_files(cls)
    wanted = " and ".join(names[kind] for kind in needed)
    wanted = " or ".join(part for part in (wanted, names.get("tokenizer_file")) if part)
    there = sorted(entry.name for entry in directory.iterdir()) if directory.is_dir() else []
    more = f" and {len(there) - 10} more" if len(there) > 10 else ""
    lacking = [names[kind] for kind in needed if kind not in present]
    what = f"lacks {' and '.join(lacking)}" if present else "has no tokeniser files"
    return (
        f"{directory} {what}: {cls.__name__} is built from {wanted}. "
        f"Files there: {', '.join(there[:10]) or 'none'}{more}."
    )


def _read_special_tokens_map(path: Path, given: dict[str, Any], arguments: dict[str, Any]) -> None:
    for name, value in _object(path).items():
        if given.get(name) or name not in (*NAMES, ADDITIONAL):
            continue
        if name != ADDITIONAL:
            arguments[name] = _special(value, name) if isinstance(value, dict) else value
            continue
        both = [_special(token, name) for token in [*(arguments.get(name) or []), *(value or [])]]
        arguments[name] = list({str(token): token for token in both}.values())


def _read_added_tokens(path: Path, arguments: dict[str, Any]) -> dict[int, AddedToken]:
    special = {str(arguments[name]) for name in NAMES if arguments.get(name) is not None}
    special |= {str(token) for token in arguments.get(ADDITIONAL) or []}
    return {
        _index(index, text): AddedToken(text, normalized=text not in special, special=text in special)
        for text, index in _object(path).items()
    }


def _object(path: Path) -> dict[str, Any]:
    return _dict(read_json(path, error=TokenizerError), path.name) if path.is_file() else {}


def _dict(value: Any, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise TokenizerError(f"{where} should hold an object, not {type(value).__name__}.")
    return value


def _index(value: Any, token: Any) -> int:
    try:
        index = int(value)
    except (TypeError, ValueError):
        index = -1
    if not 0 <= index < 2**31:
        raise TokenizerError(f"the added token {token!r} has the id {value!r}; ids are whole numbers from 0.")
    return index


def _special(value: Any, name: str) -> str | AddedToken:
    if isinstance(value, (str, AddedToken)):
        return value
    return _token({**_dict(value, name), "special": True}, name)


def _token(value: Any, where: str) -> AddedToken:
    if isinstance(value, AddedToken):
        return value
    fields = {key: item for key, item in _dict(value, where).items() if key in _TOKEN_FIELDS}
    content = fields.pop("content", None)
    if not isinstance(content, str) or not content or not all(isinstance(flag, bool) for flag in fields.values()):
        raise TokenizerError(
            f"{where} declares the token {value!r}; a non-empty content and true/false flags are expected."
        )
    return AddedToken(content, **fields)
