"""The ecosystem's module paths: ``from bothways.modeling_outputs import SequenceClassifierOutput``.

Programs import not only from the top. A path that is a module there and none here is found all the same: its names are
those of the modules that ``PATHS`` lists for it, and all public ones. Modules of both (``models.bert``) have the names
and the modules beneath them that they have there. Nothing of this is imported before a program asks for it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

_HERE = __name__.partition(".")[0]
_SMALL, _FUNCTIONS = "small_names", "small_functions"
_FAMILIES = (
    *("albert", "auto", "bart", "bert", "camembert", "distilbert", "electra", "gpt2", "llama", "marian", "mbart"),
    *("mbart50", "mistral", "modernbert", "openai", "pegasus", "roberta", "t5", "xlm_roberta"),
)
_KINDS = ("modeling_{}", "configuration_{}", "tokenization_{}", "tokenization_{}_fast")

PATHS: dict[str, tuple[str, ...]] = {
    "activations": (_SMALL,),
    "cache_utils": (),
    "configuration_utils": ("checkpoints.config",),
    "data.data_collator": ("trainer.collators",),
    "data.processors": (_SMALL,),
    "data.processors.utils": (_SMALL,),
    "file_utils": (_SMALL, _FUNCTIONS, "model_output", "checkpoints.config"),
    "generation.configuration_utils": (),
    "generation.logits_process": (),
    "generation.stopping_criteria": (),
    "generation.utils": ("generation.outputs",),
    "hf_argparser": (),
    "modeling_outputs": ("models.outputs",),
    "modeling_utils": ("models.base",),
    "optimization": ("engine.schedules", "engine.optimizers"),
    "pipelines.base": ("pipelines", "pipelines.pt_utils"),
    "pytorch_utils": (_SMALL, _FUNCTIONS),
    "tokenization_utils": (_SMALL, "tokenizers"),
    "tokenization_utils_base": (_SMALL, _FUNCTIONS, "tokenizers", "tokenizers.batch_encoding"),
    "tokenization_utils_fast": (_SMALL, "tokenizers"),
    "trainer_callback": ("trainer",),
    "trainer_pt_utils": (_SMALL, _FUNCTIONS, "trainer"),
    "trainer_seq2seq": ("trainer",),
    "trainer_utils": ("trainer", "engine.names", _SMALL, _FUNCTIONS),
    "trainer": (_FUNCTIONS,),
    "training_args": ("trainer", "engine.names"),
    "training_args_seq2seq": ("trainer",),
    "utils": (_SMALL, _FUNCTIONS, "model_output", "checkpoints.config"),
    "utils.generic": (_SMALL, _FUNCTIONS, "model_output"),
    "utils.import_utils": (_SMALL,),
    "utils.logging": ("logging",),
    "utils.versions": (_SMALL,),
    **{f"models.{family}": () for family in _FAMILIES},
    **{f"models.{family}.{kind.format(family)}": () for family in _FAMILIES for kind in _KINDS},
    **{f"models.{family}.modeling_{family}": (_SMALL,) for family in ("bart", "marian", "pegasus")},
    **{f"models.{family}.modeling_{family}": ("models.bert_parts",) for family in ("bert", "roberta")},
}
"""Module paths of the ecosystem, without its name, and where their names are here, beside the public ones."""
_WIDER = {"data", "generation", "pipelines", "trainer"}
"""Packages of both, with more names there than here."""


class _Finder:
    """Finds modules of ``PATHS``, and says of those that are here, too, that there are further names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, _, inner = fullname.partition(".")
        if root != _HERE or (inner not in PATHS and inner not in _WIDER):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None:
            # the base class that is expected would cost 16 ms of every start
            return ModuleSpec(fullname, _Elsewhere(), is_package=True)  # type: ignore[arg-type]
        if type(spec.loader) is SourceFileLoader:
            spec.loader = _Wider(fullname, spec.loader.path)
        if spec.submodule_search_locations is None:
            spec.submodule_search_locations = []  # a module, beneath which others can be looked for
        return spec


class _Elsewhere:
    """Makes a module without code, whose names are looked up when they are asked for."""

    def create_module(self, spec: ModuleSpec) -> None:
        """A usual one."""

    def exec_module(self, module: ModuleType) -> None:
        _widen(module)


class _Wider(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _widen(module)


def _widen(module: ModuleType) -> None:
    """Let the module answer for names that it does not have."""
    path = module.__name__.partition(".")[2]
    own = vars(module).get("__getattr__")

    def find(name: str) -> Any:
        if own is not None:
            try:
                return own(name)
            except AttributeError:
                pass
        if not name.startswith("__"):
            for place in PATHS.get(path, ()):
                value = getattr(importlib.import_module(f"{_HERE}.{place}"), name, None)
                if value is not None:
                    return value
            top = sys.modules[_HERE]
            if name in (*top.__all__, "logging"):  # the one module that programs take from others
                return getattr(top, name)
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    vars(module)["__getattr__"] = find


def install() -> None:
    """Let imports find the paths."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


__all__ = ["PATHS", "install"]
