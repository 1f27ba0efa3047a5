"""Dataclasses as command-line arguments, as fine-tuning scripts use them."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import types
from collections.abc import Iterable
from enum import Enum
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bothways.errors import DataError, UsageError, nearest
from bothways.files import read_json
from bothways.trainer.argument_names import OldName, old_names

_TRUE, _FALSE = ("yes", "true", "t", "y", "1"), ("no", "false", "f", "n", "0")


class HfArgumentParser(argparse.ArgumentParser):
    """An ``ArgumentParser`` with an argument for each field of some dataclasses; older spellings of fields too.

    Args:
        dataclass_types: one dataclass or several. ``--learning_rate`` and ``--learning-rate`` are the same.
        kwargs: for ``argparse.ArgumentParser``.

    Raises:
        UsageError: a field has a type that the command line cannot give.
    """

    dataclass_types: list[type]

    def __init__(self, dataclass_types: type | Iterable[type] | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.ArgumentDefaultsHelpFormatter)
        super().__init__(**kwargs)
        if dataclass_types is None:
            dataclass_types = []
        self.dataclass_types = [dataclass_types] if isinstance(dataclass_types, type) else list(dataclass_types)
        for kind in self.dataclass_types:
            self._add_dataclass(kind)

    def parse_args_into_dataclasses(
        self,
        args: list[str] | None = None,
        return_remaining_strings: bool = False,
        look_for_args_file: bool = True,
        args_filename: str | None = None,
        args_file_flag: str | None = None,
    ) -> tuple[Any, ...]:
        """Parse a command line.

        Args:
            args: the words; None takes those of this program.
            return_remaining_strings: append the list of unknown words to the result instead of refusing them.
            look_for_args_file: read words first from a file beside the program, ``name.args`` beside ``name.py``.
            args_filename: a file of words to read first, instead of that.
            args_file_flag: an argument that names such files; several may be given, the last has the last word.

        Returns:
            an instance of each dataclass, then a namespace with arguments that were added by hand, if there are any.

        Raises:
            UsageError: (a ``ValueError``) unknown words.
        """
        words = list(sys.argv[1:] if args is None else args)
        words = [*_words_of_files(words, look_for_args_file, args_filename, args_file_flag), *words]
        namespace, remaining = self.parse_known_args(words)
        values = vars(namespace)
        outputs: list[Any] = []
        for kind in self.dataclass_types:
            names = [name for name in _argument_names(kind) if name in values]
            outputs.append(kind(**_without_silent_defaults(kind, {name: values.pop(name) for name in names})))
        if values:
            outputs.append(namespace)
        if return_remaining_strings:
            return (*outputs, remaining)
        if remaining:
            raise UsageError(
                f"Some specified arguments are not used by the HfArgumentParser: {self._with_hints(remaining)}"
            )
        return tuple(outputs)

    def parse_dict(self, args: dict[str, Any], allow_extra_keys: bool = False) -> tuple[Any, ...]:
        """Instances from values by name.

        Raises:
            UsageError: keys that no dataclass has, unless ``allow_extra_keys``.
        """
        unused = dict(args)
        outputs = []
        for kind in self.dataclass_types:
            names = [name for name in _argument_names(kind) if name in args]
            outputs.append(kind(**{name: args[name] for name in names}))
            for name in names:
                unused.pop(name, None)
        if unused and not allow_extra_keys:
            raise UsageError(f"Some keys are not used by the HfArgumentParser: {self._with_hints(sorted(unused))}")
        return tuple(outputs)

    def parse_json_file(self, json_file: str | PathLike[str], allow_extra_keys: bool = False) -> tuple[Any, ...]:
        """Instances from a JSON object in a file."""
        return self.parse_dict(_object(json_file, read_json(json_file, error=DataError)), allow_extra_keys)

    def parse_yaml_file(self, yaml_file: str | PathLike[str], allow_extra_keys: bool = False) -> tuple[Any, ...]:
        """Instances from a YAML mapping in a file. Needs the package PyYAML."""
        try:
            import yaml
        except ImportError:
            raise UsageError("Reading YAML needs the package PyYAML: pip install pyyaml.") from None
        content = yaml.safe_load(Path(yaml_file).read_text(encoding="utf-8"))
        return self.parse_dict(_object(yaml_file, content), allow_extra_keys)

    def _add_dataclass(self, kind: type) -> None:
        group = getattr(kind, "_argument_group_name", None)
        parser = self.add_argument_group(group) if group else self
        try:
            hints = get_type_hints(kind)
        except NameError as problem:
            raise UsageError(
                f"The types of {kind.__name__} cannot be resolved ({problem}). Define it at the top of its module, or "
                "leave out `from __future__ import annotations`."
            ) from None
        for field in dataclasses.fields(kind):
            if field.init:
                _add_field(parser, field, hints[field.name])
        for name, old in _old_arguments(kind).items():
            _add_old_name(parser, name, old)

    def _with_hints(self, names: list[str]) -> str:
        known = [name for kind in self.dataclass_types for name in _argument_names(kind)]
        likes = {name: nearest(name.lstrip("-").replace("-", "_"), known, most=1) for name in names}
        hints = [f"{name} → {like[0]}?" for name, like in likes.items() if like]
        return f"{names}" + (f" Did you mean: {', '.join(hints)}" if hints else "")


def HfArg(  # noqa: N802 - the ecosystem's name
    *,
    aliases: str | list[str] | None = None,
    help: str | None = None,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    metadata: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """A dataclass field for ``HfArgumentParser``: ``rate: float = HfArg(default=0.1, aliases=["-r"], help="...")``."""
    says = {**(metadata or {})}
    if aliases is not None:
        says["aliases"] = aliases
    if help is not None:
        says["help"] = help
    return dataclasses.field(metadata=says, default=default, default_factory=default_factory, **kwargs)


def string_to_bool(value: str | bool) -> bool:
    """``yes``, ``true``, ``t``, ``y``, ``1`` and their opposites, in any case."""
    if isinstance(value, bool):
        return value
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{value!r} is neither one of {', '.join(_TRUE)} nor one of {', '.join(_FALSE)}.")


def _add_field(parser: Any, field: dataclasses.Field, hint: Any) -> None:
    """One argument; a switch that is on by default gets an opposite, ``--no_name``."""
    says = dict(field.metadata)
    aliases = says.pop("aliases", [])
    names = [*_spellings(field.name), *([aliases] if isinstance(aliases, str) else aliases)]
    default = _default(field)
    kind = _kind(field.name, hint)
    says["default"] = None if default is dataclasses.MISSING else default
    if default is dataclasses.MISSING and kind is not bool:
        says["required"] = True
    choices = _choices(kind)
    if choices:
        says["choices"] = choices
        says["type"] = _choice_type(choices)
    elif kind is bool:
        says["type"] = string_to_bool
        if default is not None:
            says |= {"nargs": "?", "const": True, "default": default is not dataclasses.MISSING and default}
    elif get_origin(kind) is list or kind is list:
        says |= {"type": (get_args(kind) or (str,))[0], "nargs": "+"}
    else:
        says["type"] = kind
    parser.add_argument(*names, **says)
    if kind is bool and default is True:
        opposite = [f"--no_{field.name}", f"--no-{field.name.replace('_', '-')}"]
        parser.add_argument(*opposite, action="store_false", dest=field.name, help=says.get("help"), default=True)


def _add_old_name(parser: Any, name: str, old: OldName) -> None:
    if old.flag_for is None:
        parser.add_argument(*_spellings(name), default=argparse.SUPPRESS, help=f"Older spelling of --{old.new}.")
        return
    means = f"--{old.new} {old.flag_for}" if not isinstance(old.flag_for, bool) else f"--{old.new}"
    options: dict[str, Any] = {"type": string_to_bool, "nargs": "?", "const": True, "default": argparse.SUPPRESS}
    parser.add_argument(*_spellings(name), help=f"Older spelling of {means}.", **options)


def _kind(name: str, hint: Any) -> Any:
    """The type that a word of the command line becomes: of a union the first that a word can be."""
    if get_origin(hint) not in (Union, types.UnionType):
        return str if hint is Any else hint
    members = [member for member in get_args(hint) if member is not type(None)]
    others = [member for member in members if member is not str]
    if len(members) == 1:
        return members[0]
    if str not in members:
        raise UsageError(f"{name} may be one of {len(members)} types, {hint}: the command line can give one, or text.")
    special = [m for m in others if m is bool or (isinstance(m, type) and issubclass(m, Enum))]
    return special[0] if special else str


def _choices(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [member.value for member in kind]
    return []


def _choice_type(choices: list[Any]) -> Any:
    by_text = {str(choice): choice for choice in choices}
    return lambda text: by_text.get(text, text)


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _spellings(name: str) -> list[str]:
    return [f"--{name}", f"--{name.replace('_', '-')}"] if "_" in name else [f"--{name}"]


def _argument_names(kind: type) -> list[str]:
    return [*(f.name for f in dataclasses.fields(kind) if f.init), *_old_arguments(kind)]


def _old_arguments(kind: type) -> dict[str, OldName]:
    fields = {f.name for f in dataclasses.fields(kind)}
    return {name: old for name, old in old_names(kind).items() if name not in fields}


def _without_silent_defaults(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Without fields that nobody gave but an older spelling means: ``--evaluation_strategy`` wins over the default."""
    defaults = {field.name: _default(field) for field in dataclasses.fields(kind)}
    meant = {old.new for name, old in _old_arguments(kind).items() if name in values}
    return {name: value for name, value in values.items() if name not in meant or value != defaults[name]}


def _words_of_files(words: list[str], beside: bool, filename: str | None, flag: str | None) -> list[str]:
    """The words of argument files; those of ``flag`` are taken out of ``words``."""
    paths = [Path(filename)] if filename else [Path(sys.argv[0]).with_suffix(".args")] if beside and sys.argv[0] else []
    if flag:
        finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        finder.add_argument(flag, action="append", dest="files")
        found, words[:] = finder.parse_known_args(words)
        paths += [Path(path) for path in found.files or []]
    return [word for path in paths if path.exists() for word in path.read_text(encoding="utf-8").split()]


def _object(path: str | PathLike[str], content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}; arguments are written as names with values.")
    return content
