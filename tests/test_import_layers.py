"""The layers of ARCHITECTURE.md, enforced: the numbers are read from the picture, the imports from the source."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bothways"
REFERENCE_LIBRARIES = {"transformers", "accelerate", "peft", "datasets", "sentence_transformers", "evaluate"}
PICKLE_READERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
WEIGHTS_READER = "checkpoints/weights.py"
GROUND = 0  # one floor: its modules may use each other


def layers_of(text: str) -> dict[str, int]:
    """Package or module → L number, from the fenced block whose lines begin with ``L0``, ``L1``, …

    A name is a word that ends in ``/`` or ``.py``, at the start of a line or after another such word.
    """
    found: dict[str, int] = {}
    number: int | None = None
    for block in re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            start = re.match(r"L(\d+)\s+", line)
            if start:
                number, line = int(start[1]), line[start.end() :]
            elif number is None or not line.startswith("    "):
                number = None
                continue
            for name in re.findall(r"(\w+)(?:/|\.py)(?=\s|$)", line):
                assert name not in found, f"{name} has two places in the picture"
                found[name] = number
    return found


LAYERS = layers_of((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Import:
    """One import statement of a module, wherever it stands: at the top, in a function or under ``TYPE_CHECKING``."""

    module: str
    names: tuple[str, ...]
    line: int

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def targets(self) -> set[str]:
        """Packages of this library that are imported; the library itself is the empty string."""
        if self.top != "bothways":
            return set()
        inner = self.module.split(".")[1:]
        if inner:
            return {inner[0]}
        return {name if name in LAYERS else "" for name in self.names} or {""}


def imports_of(source: str) -> list[Import]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, (), node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports are not used here"
            found.append(Import(node.module or "", tuple(alias.name for alias in node.names), node.lineno))
    return found


MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


def package_of(module: str) -> str:
    return module.partition("/")[0].removesuffix(".py")


def wrong_imports(module: str, source: str, layers: dict[str, int]) -> list[str]:
    """Sentences about imports that go up or sideways."""
    own = package_of(module)
    wrong = []
    for found in imports_of(source):
        for target in found.targets():
            where = f"{module}:{found.line} imports"
            if target == "":
                if set(found.names) - {"__version__"}:
                    wrong.append(f"{where} {', '.join(found.names)} from bothways itself, past the layers")
            elif target != own and layers[target] >= max(layers[own], GROUND + 1):
                wrong.append(f"{where} {target} (L{layers[target]}) from {own} (L{layers[own]})")
    return wrong


@pytest.mark.parametrize("module", [m for m in MODULES if m != "__init__.py"])
def test_imports_go_down_only(module):
    assert wrong_imports(module, (PACKAGE / module).read_text(encoding="utf-8"), LAYERS) == []


def test_the_picture_has_every_package_and_nothing_else():
    here = {package_of(module) for module in MODULES} - {"__init__"}
    assert set(LAYERS) == here


def test_every_file_has_its_sentence():
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Every file")[2]
    named = [
        name for line in page.splitlines() if line.startswith("- ") for name in re.findall(r"`([\w/]+\.py)`", line)
    ]
    assert sorted(named) == [m for m in MODULES if not m.endswith("__init__.py")]


def test_the_picture_is_read_from_its_layer_block_alone():
    flow = "```\nflow: nn/ heads.py\n```\n"
    text = flow + "```\nL0  errors.py  files.py (writes)\nL2  nn/  bricks/slots\n    tasks/  pure\n```\n"
    assert layers_of(text) == {"errors": 0, "files": 0, "nn": 2, "tasks": 2}


@pytest.mark.parametrize(
    "source, said",
    [
        ("from bothways.models.base import PreTrainedModel", "imports models (L7) from nn (L4)"),
        ("from bothways.tasks import encoded", "imports tasks (L4) from nn (L4)"),
        ("def f():\n    import bothways.training.loop", "imports training (L9) from nn (L4)"),
        ("if TYPE_CHECKING:\n    from bothways import pipelines", "imports pipelines (L8) from nn (L4)"),
        ("from bothways import BertModel", "BertModel from bothways itself"),
    ],
)
def test_a_wrong_import_is_seen(source, said):
    layers = {"models": 7, "nn": 4, "tasks": 4, "training": 9, "pipelines": 8}
    (sentence,) = wrong_imports("nn/attention.py", source, layers)
    assert said in sentence


@pytest.mark.parametrize(
    "source", ["from bothways.nn import block", "import torch", "from bothways import __version__"]
)
def test_a_right_import_passes(source):
    assert wrong_imports("nn/attention.py", source, {"nn": 4}) == []


def test_the_root_imports_nothing_at_once():
    for module in ("__init__.py", "module_paths.py"):
        own = imports_of((PACKAGE / module).read_text(encoding="utf-8"))
        tops = {found.top for found in own if (found.module, found.names) != ("bothways", ("module_paths",))}
        assert tops <= {"__future__", "collections", "importlib", "sys", "types", "typing"}


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_libraries_are_never_imported(module):
    tops = {found.top for found in imports_of((PACKAGE / module).read_text(encoding="utf-8"))}
    assert not tops & REFERENCE_LIBRARIES


@pytest.mark.parametrize("module", MODULES)
def test_nothing_reads_pickles(module):
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    tops = {found.top for found in imports_of(ast.unparse(tree))}
    assert not tops & PICKLE_READERS
    assert not [found for found in imports_of(ast.unparse(tree)) if found.top == "torch" and "load" in found.names]
    if module != WEIGHTS_READER:
        assert _torch_loads(tree) == []


def test_the_one_opt_in_reads_plain_tensors_only():
    calls = _torch_loads(ast.parse((PACKAGE / WEIGHTS_READER).read_text(encoding="utf-8")))
    assert len(calls) == 1
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in calls[0].keywords}
    assert options.get("weights_only") == "True"


def _torch_loads(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"]
