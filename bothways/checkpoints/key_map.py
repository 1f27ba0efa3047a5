"""Names of tensors in checkpoints, as data. A family writes its rules once; the inverse is computed.

Templates are dotted paths. ``{i}`` stands for exactly one segment and must occur on both sides. They are written
without the base prefix (``bert.``), which is taken off before matching and put back after it. Names that no rule
mentions stay as they are.

    KeyMap(
        Rename("transformer.layer.{i}.attention.q_lin", "encoder.layer.{i}.attention.self.query"),
        Ignore("embeddings.position_ids"),
        Tie("vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"),
        base_prefix="distilbert",
    )
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bothways.checkpoints.prefix import without_wrappers
from bothways.checkpoints.safetensors_header import shown
from bothways.checkpoints.weights import Weights
from bothways.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

_PLACEHOLDER = re.compile(r"\{[a-z]\w*\}")


@dataclass(frozen=True)
class Rename:
    """``theirs`` and everything below it is called ``ours``. Both are runs of whole leading segments."""

    theirs: str
    ours: str


@dataclass(frozen=True)
class Transpose:
    """One matrix, stored the other way round (GPT-2's ``Conv1D``: (in, out) where ``nn.Linear`` has (out, in))."""

    theirs: str
    ours: str


@dataclass(frozen=True)
class Split:
    """One tensor of theirs is cut into equal parts of ours along ``dim``, after a transposition if asked for.

    GPT-2: ``attn.c_attn.weight`` (H, 3H), transposed to (3H, H), gives query, key and value (H, H) with ``dim=0``.
    """

    theirs: str
    ours: tuple[str, ...]
    dim: int = 0
    transpose: bool = False


@dataclass(frozen=True)
class Concat:
    """Several equally large tensors of theirs are joined to one of ours along ``dim``."""

    theirs: tuple[str, ...]
    ours: str
    dim: int = 0


@dataclass(frozen=True)
class Tie:
    """Our parameter ``name`` is the same memory as our parameter ``to``. Full names of ours, base prefix included.

    It may be absent from a file, and is written only with ``write=True``, as a copy.
    """

    name: str
    to: str
    write: bool = False


@dataclass(frozen=True)
class Ignore:
    """Tensors of theirs that are known and not parameters of ours: this path and everything below it."""

    pattern: str


@dataclass(frozen=True)
class Legacy:
    """An old ending of their names, read but never written: ``LayerNorm.gamma`` is ``LayerNorm.weight``."""

    old_suffix: str
    new_suffix: str


Conversion = Rename | Transpose | Split | Concat
Rule = Conversion | Tie | Ignore | Legacy


@dataclass(frozen=True, kw_only=True)
class Step:
    """Join ``theirs`` along ``dim``, transpose if asked for, and cut into as many parts as there are ``ours``."""

    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    dim: int = 0
    transpose: bool = False

    def shapes(self, weights: Weights) -> dict[str, tuple[int, ...]]:
        """The shapes of ours, without reading a tensor."""
        shapes = [weights.shape(name) for name in self.theirs]
        _check_joinable(self, shapes)
        shape = list(shapes[0])
        if len(shapes) > 1:
            shape[self.dim] *= len(shapes)
        if self.transpose:
            shape.reverse()
        if len(self.ours) > 1:
            _check_divisible(self, shape)
            shape[self.dim] //= len(self.ours)
        return dict.fromkeys(self.ours, tuple(shape))

    def load(self, weights: Weights) -> dict[str, Tensor]:
        """Read theirs and make ours: contiguous, each in memory of its own."""
        self.shapes(weights)  # refuses what does not fit
        return self.apply([weights.load(name) for name in self.theirs])

    def apply(self, tensors: list[Tensor]) -> dict[str, Tensor]:
        """Make ours from theirs that are in memory. Plain copies are passed through; other results are new tensors."""
        import torch

        shapes = [tuple(tensor.shape) for tensor in tensors]
        _check_joinable(self, shapes)
        result = torch.cat(tensors, self.dim) if len(tensors) > 1 else tensors[0]
        if self.transpose:
            result = result.t().clone(memory_format=torch.contiguous_format)
        if len(self.ours) == 1:
            return {self.ours[0]: result}
        _check_divisible(self, list(result.shape))
        parts = result.chunk(len(self.ours), self.dim)
        return {
            name: part.clone(memory_format=torch.contiguous_format) for name, part in zip(self.ours, parts, strict=True)
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which tensors of a file make which of ours; nothing is read yet."""

    steps: tuple[Step, ...]
    ignored: tuple[str, ...] = ()
    renamed: int = 0
    """Number of their tensors whose name in the house differs, apart from prefixes."""

    @property
    def ours(self) -> tuple[str, ...]:
        return tuple(name for step in self.steps for name in step.ours)


class KeyMap:
    """The rules of one family, in both directions.

    Args:
        rules: see the rule classes of this module.
        base_prefix: attribute of the base model in a task model, ``"bert"``; names have it or lack it as they please.
        other_prefix: what files of some classes have in its place.

    Raises:
        ValueError: templates that differ in their placeholders, or two rules with the same template.
    """

    def __init__(self, *rules: Rule, base_prefix: str = "", other_prefix: str = "") -> None:
        self.rules = rules
        self.base_prefix = base_prefix
        self.other_prefix = other_prefix
        self.ties = tuple(rule for rule in rules if isinstance(rule, Tie))
        self._legacy = tuple(rule for rule in rules if isinstance(rule, Legacy))
        self._ignored = tuple(_expression(rule.pattern, below=True) for rule in rules if isinstance(rule, Ignore))
        conversions = [rule for rule in rules if isinstance(rule, Rename | Transpose | Split | Concat)]
        self._forward = [_Pattern(rule, _theirs(rule), _ours(rule)) for rule in conversions]
        self._backward = [_Pattern(rule, _ours(rule), _theirs(rule)) for rule in conversions]
        for patterns in (self._forward, self._backward):
            _check_templates([template for pattern in patterns for template in pattern.sources])

    def without_tie(self, name: str) -> KeyMap:
        """The same rules, but our parameter ``name`` has values of its own."""
        kept = [rule for rule in self.rules if not (isinstance(rule, Tie) and rule.name == name)]
        return KeyMap(*kept, base_prefix=self.base_prefix, other_prefix=self.other_prefix)

    def to_ours(self, names: Iterable[str]) -> Plan:
        """Plan how the tensors of a file become ours.

        Raises:
            CheckpointError: two tensors would become one parameter, two rules fit one name, or a part of a joined
                parameter is absent.
        """
        plain = without_wrappers(names)
        modern = {theirs: self._modern(name) for theirs, name in plain.items()}
        wanted = {theirs: name for theirs, name in modern.items() if not self._is_ignored(name)}
        ignored = tuple(theirs for theirs in modern if theirs not in wanted)
        steps = self._steps(wanted, self._forward)
        same = sum(tuple(plain[theirs] for theirs in step.theirs) == step.ours for step in steps)
        return Plan(steps=tuple(steps), ignored=ignored, renamed=len(wanted) - same)

    def to_theirs(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors under the names of the ecosystem, ready for ``write_weights``.

        Raises:
            CheckpointError: two of ours would become one of theirs, parts of a fused tensor are absent, or parameters
                that should be tied hold different values.
        """
        kept = self._without_ties(state)
        result: dict[str, Tensor] = {}
        for step in self._steps({name: name for name in kept}, self._backward):
            result |= step.apply([kept[name] for name in step.theirs])
        return result

    def load(self, weights: Weights, wanted: Collection[str] | None = None) -> dict[str, Tensor]:
        """Read the tensors of ours that are wanted (all of them if None); names must agree, see ``align_prefix``."""
        result: dict[str, Tensor] = {}
        for step in self.to_ours(weights.names()).steps:
            if wanted is None or any(name in wanted for name in step.ours):
                tensors = step.load(weights)
                result |= {name: tensor for name, tensor in tensors.items() if wanted is None or name in wanted}
        return result

    def _steps(self, names: Mapping[str, str], patterns: Sequence[_Pattern]) -> list[Step]:
        """Steps that use every key of ``names`` once. Its values are what the patterns are matched against."""
        steps: list[Step] = []
        fused: dict[tuple[_Pattern, str, tuple[str, ...]], dict[int, str]] = {}
        for original, name in names.items():
            prefix, rest = self._without_base(name)
            hits = [(pattern, *hit) for pattern in patterns if (hit := pattern.match(rest))]
            if len(hits) > 1:
                rules = " and ".join(str(hit[0].rule) for hit in hits)
                raise CheckpointError(f"The name {shown(name)} fits {len(hits)} rules of the key map: {rules}.")
            if not hits:
                steps.append(Step(theirs=(original,), ours=(prefix + rest,)))
                continue
            pattern, part, values, below = hits[0]
            if len(pattern.sources) > 1:
                fused.setdefault((pattern, prefix, values), {})[part] = original
            else:
                steps.append(pattern.step((original,), prefix, values, below))
        for (pattern, prefix, values), parts in fused.items():
            absent = [pattern.source(i, prefix, values) for i in range(len(pattern.sources)) if i not in parts]
            if absent:
                raise CheckpointError(
                    f"{len(absent)} of {len(pattern.sources)} tensors that are joined to one are missing: "
                    f"{', '.join(absent)}. Present: {', '.join(parts.values())}."
                )
            steps.append(pattern.step(tuple(parts[i] for i in range(len(parts))), prefix, values, ""))
        _check_once(steps)
        return steps

    def _without_base(self, name: str) -> tuple[str, str]:
        for own in (self.base_prefix, self.other_prefix):
            if own and name.startswith(f"{own}."):
                return f"{self.base_prefix}.", name[len(own) + 1 :]
        return "", name

    def _modern(self, name: str) -> str:
        for rule in self._legacy:
            if f".{name}".endswith(f".{rule.old_suffix}"):
                return name.removesuffix(rule.old_suffix) + rule.new_suffix
        return name

    def _is_ignored(self, name: str) -> bool:
        rest = self._without_base(name)[1]
        return any(re.fullmatch(expression, rest) for expression in self._ignored)

    def _without_ties(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        kept = dict(state)
        for tie in self.ties:
            if tie.to not in state:
                continue
            if tie.name in state and not same_values(state[tie.name], state[tie.to]):
                raise CheckpointError(
                    f"{tie.name} is tied to {tie.to} but holds other values, and only one of them would be saved. "
                    "Call tie_weights(), or set config.tie_word_embeddings=False to save both."
                )
            kept.pop(tie.name, None)
            if tie.write:
                kept[tie.name] = state[tie.to].clone()
        return kept


def same_values(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are one, or equal in shape, dtype and every value."""
    import torch

    if a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride() and a.dtype == b.dtype:
        return True
    return a.shape == b.shape and a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)


class _Pattern:
    """One rule in one direction: names that match ``sources`` become ``targets``."""

    def __init__(self, rule: Conversion, sources: tuple[str, ...], targets: tuple[str, ...]) -> None:
        placeholders = {tuple(sorted(set(_PLACEHOLDER.findall(template)))) for template in (*sources, *targets)}
        if len(placeholders) != 1:
            raise ValueError(f"The templates of {rule} differ in their placeholders.")
        self.rule = rule
        self.sources = sources
        self.targets = targets
        self._placeholders = placeholders.pop()
        self._expressions = [_expression(template, below=isinstance(rule, Rename)) for template in sources]

    def match(self, name: str) -> tuple[int, tuple[str, ...], str] | None:
        """Which source fits, the values of the placeholders in alphabetical order, and what is below the template."""
        for i, expression in enumerate(self._expressions):
            if hit := re.fullmatch(expression, name):
                return i, tuple(hit[placeholder[1:-1]] for placeholder in self._placeholders), hit["below_"] or ""
        return None

    def step(self, theirs: tuple[str, ...], prefix: str, values: tuple[str, ...], below: str) -> Step:
        ours = tuple(prefix + self._filled(target, values) + below for target in self.targets)
        dim = self.rule.dim if isinstance(self.rule, Split | Concat) else 0
        transpose = isinstance(self.rule, Transpose) or (isinstance(self.rule, Split) and self.rule.transpose)
        # Transposing and then cutting along dim is undone by joining along dim and then transposing: a Step, too.
        return Step(theirs=theirs, ours=ours, dim=dim, transpose=transpose)

    def source(self, i: int, prefix: str, values: tuple[str, ...]) -> str:
        return prefix + self._filled(self.sources[i], values)

    def _filled(self, template: str, values: tuple[str, ...]) -> str:
        filling = dict(zip(self._placeholders, values, strict=True))
        return _PLACEHOLDER.sub(lambda hit: filling[hit[0]], template)


def _theirs(rule: Conversion) -> tuple[str, ...]:
    return rule.theirs if isinstance(rule.theirs, tuple) else (rule.theirs,)


def _ours(rule: Conversion) -> tuple[str, ...]:
    return rule.ours if isinstance(rule.ours, tuple) else (rule.ours,)


def _expression(template: str, *, below: bool) -> str:
    """A regular expression, compiled at its first use: to compile those of all families would delay every start.

    One segment per placeholder, the same one where a placeholder is repeated; the group ``below_`` is the rest.
    """
    parts, seen = [], set()
    for segment in template.split("."):
        if not _PLACEHOLDER.fullmatch(segment):
            if not segment or set("{}") & set(segment):
                raise ValueError(
                    f"The template {template!r} has the segment {segment!r}; a name or {{name}} is expected."
                )
            parts.append(re.escape(segment))
        elif segment in seen:
            parts.append(f"(?P={segment[1:-1]})")
        else:
            seen.add(segment)
            parts.append(f"(?P<{segment[1:-1]}>[^.]+)")
    return r"\.".join(parts) + ("(?P<below_>(\\..+)?)" if below else "(?P<below_>)")


def _check_templates(templates: list[str]) -> None:
    anonymous = [_PLACEHOLDER.sub("{}", template) for template in templates]
    if twice := sorted({template for template in anonymous if anonymous.count(template) > 1}):
        raise ValueError(f"Two rules have the template {', '.join(twice)}.")


def _check_once(steps: Iterable[Step]) -> None:
    makers: dict[str, tuple[str, ...]] = {}
    for step in steps:
        for name in step.ours:
            if name in makers:
                both = " and ".join(shown(source) for source in (*makers[name], *step.theirs))
                raise CheckpointError(f"{both} would both become {shown(name)}. One of them has to go.")
            makers[name] = step.theirs


def _check_joinable(step: Step, shapes: Sequence[tuple[int, ...]]) -> None:
    ranks = {len(shape) for shape in shapes}
    if step.transpose and ranks != {2}:
        raise CheckpointError(f"{step.theirs[0]} of shape {shapes[0]} cannot be transposed: 2 dimensions are expected.")
    if len(shapes) > 1 and (len(set(shapes)) > 1 or len(shapes[0]) <= step.dim):
        listed = ", ".join(f"{name} {shape}" for name, shape in zip(step.theirs, shapes, strict=True))
        raise CheckpointError(f"{listed} cannot be joined along dimension {step.dim}: equal shapes are expected.")


def _check_divisible(step: Step, shape: Sequence[int]) -> None:
    if len(shape) <= step.dim or shape[step.dim] % len(step.ours):
        raise CheckpointError(
            f"{step.theirs[0]} of shape {tuple(shape)} cannot be cut into {len(step.ours)} equal parts along dimension "
            f"{step.dim}: {', '.join(step.ours)}."
        )
