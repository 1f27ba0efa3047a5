"""Loading by our names, and saying plainly what was and was not in the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from bothways.checkpoints.key_map import KeyMap, Plan, Step, same_values
from bothways.checkpoints.prefix import align_prefix
from bothways.checkpoints.safetensors_header import shown
from bothways.checkpoints.weights import Weights
from bothways.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

MOST_NAMES = 8  # names listed in a sentence before "and 12 more"


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A parameter whose shape in the file is not the model's."""

    name: str
    file_shape: tuple[int, ...]
    model_shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What happened to every tensor of a file and every parameter of a model."""

    source: str
    """Directory or name that was loaded."""
    missing: tuple[str, ...] = ()
    """Ours: newly initialised, because the file lacks them."""
    unexpected: tuple[str, ...] = ()
    """Theirs: in the file, and not used."""
    mismatched: tuple[Mismatch, ...] = ()
    """Newly initialised, because the shapes differ and the caller wanted it so."""
    tied: tuple[str, ...] = ()
    """Ours: not read, because they are the same memory as another parameter."""
    untied: tuple[tuple[str, str], ...] = ()
    """Ours: (name, to) that the model ties although the file has different values; those of ``to`` are used."""
    ignored: tuple[str, ...] = ()
    """Theirs: known not to be parameters."""
    renamed: int = 0
    """Number of their tensors that have another name in the house, apart from prefixes."""
    n_tensors: int = 0
    """Number of tensors in the file."""
    n_loaded: int = 0
    """Number of their tensors that were used."""
    dtype: str = ""
    """Dtype of most of the loaded floating-point values in the file, ``"float32"``."""

    def loading_info(self) -> dict[str, list[str]]:
        """What ``from_pretrained(..., output_loading_info=True)`` of the ecosystem tells."""
        return {
            "missing_keys": list(self.missing),
            "unexpected_keys": list(self.unexpected),
            "mismatched_keys": [mismatch.name for mismatch in self.mismatched],
            "error_msgs": [],
        }

    def sentence(self) -> str:
        """What a user should know, in plain sentences; empty if everything fitted."""
        parts = []
        if self.missing:
            parts.append(f"{_newly(len(self.missing))}: {_listed(self.missing)}. {_advice(self.missing)}")
        if self.mismatched:
            names = [m.name for m in self.mismatched]
            sizes = [f"{_size(m.file_shape)} in the file, {_size(m.model_shape)} here" for m in self.mismatched]
            shapes = [f"{name} ({size})" for name, size in zip(names, sizes, strict=True)]
            advice = "" if self.missing else f" {_advice(names)}"
            parts.append(f"{_newly(len(names))} because the shapes differ: {_listed(shapes)}.{advice}")
        for name, to in self.untied:
            parts.append(f"The file holds different values for {name} and {to}, which this model ties; {to} was used.")
        if self.unexpected:
            unused = _listed(self.unexpected)
            parts.append(f"{self.n_loaded} of {self.n_tensors} tensors were used; unused: {unused}.")
        return " ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        value = asdict(self)
        for mismatch in value["mismatched"]:
            mismatch["file_shape"] = list(mismatch["file_shape"])
            mismatch["model_shape"] = list(mismatch["model_shape"])
        value["untied"] = [list(pair) for pair in self.untied]
        return {key: list(item) if isinstance(item, tuple) else item for key, item in value.items()}


def load_tensors(
    weights: Weights,
    key_map: KeyMap,
    wanted: Mapping[str, Sequence[int]],
    *,
    base_prefix: str,
    ignore_mismatched_sizes: bool = False,
    source: str = "",
) -> tuple[dict[str, Tensor], LoadReport]:
    """Read the parameters of a model from a file.

    Args:
        weights: open weights.
        key_map: the family's names.
        wanted: shape of each parameter and buffer of the model, as in its state dictionary: tied ones have both names.
        base_prefix: attribute of the base model in a task model, ``"bert"``.
        ignore_mismatched_sizes: leave out parameters of another shape instead of refusing.
        source: what to call the file; its path if empty.

    Returns:
        The tensors by our names, in the file's dtypes, tied ones as the same tensor; and the report.

    Raises:
        CheckpointError: a shape differs (all are listed), no tensor of the file is a parameter of the model, or one is
            an 8-bit float.
    """
    source = source or weights.source
    _refuse_eight_bits(source, weights)
    plan = _aligned(key_map.to_ours(weights.names()), wanted, base_prefix)
    makers = {name: step for step in plan.steps for name in step.ours}
    tied = _resolved_ties(key_map, makers, wanted)
    found = [name for name in wanted if name in makers and name not in tied]
    if wanted and not found:
        raise CheckpointError(_nothing_fits(source, weights, wanted))
    mismatched = _mismatches(found, makers, weights, wanted)
    if mismatched and not ignore_mismatched_sizes:
        raise CheckpointError(_mismatch_message(source, mismatched))

    taken = set(found) - {mismatch.name for mismatch in mismatched}
    tensors, n_values = _read(taken, makers, weights)
    untied = _conflicts(tied, tensors, makers, weights)
    tensors |= {name: tensors[to] for name, to in tied.items() if to in tensors}
    dropped = [name for name, to in tied.items() if name in makers and to in makers]
    known = _theirs([*found, *dropped], makers) | set(plan.ignored)
    report = LoadReport(
        source=source,
        missing=tuple(name for name in wanted if name not in makers and tied.get(name) not in makers),
        unexpected=tuple(name for name in weights.names() if name not in known),
        mismatched=tuple(mismatched),
        tied=tuple(tied),
        untied=untied,
        ignored=plan.ignored,
        renamed=plan.renamed,
        n_tensors=len(weights.names()),
        n_loaded=len(_theirs(taken, makers)),
        dtype=n_values.most_common(1)[0][0] if n_values else "",
    )
    return tensors, report


def _refuse_eight_bits(source: str, weights: Weights) -> None:
    """Whole models in 8-bit floats have scales beside them, each maker's its own way: alone they are wrong numbers."""
    for name in weights.names():
        if weights.dtype(name).is_floating_point and weights.dtype(name).itemsize == 1:
            raise CheckpointError(
                f"{source}: tensor {shown(name)} is {weights.dtype(name)}, an 8-bit float. Of these only the matrices "
                "of adapters are read: convert the model to bfloat16."
            )


def _aligned(plan: Plan, wanted: Mapping[str, Sequence[int]], base_prefix: str) -> Plan:
    ours = align_prefix(plan.ours, wanted, base_prefix)
    steps = [replace(step, ours=tuple(ours[name] for name in step.ours)) for step in plan.steps]
    return replace(plan, steps=tuple(steps))


def _resolved_ties(key_map: KeyMap, makers: dict[str, Step], wanted: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """The ties of this model, name -> to. Where a file has only the former, its maker becomes that of the latter."""
    for tie in key_map.ties:
        # Writers that keep one of two shared tensors do not all keep the same one.
        if tie.to in wanted and tie.to not in makers and tie.name in makers:
            step = makers.pop(tie.name)
            makers[tie.to] = replace(step, ours=tuple(tie.to if name == tie.name else name for name in step.ours))
    return {tie.name: tie.to for tie in key_map.ties if tie.name in wanted and tie.to in wanted}


def _theirs(names: Iterable[str], makers: Mapping[str, Step]) -> set[str]:
    return {theirs for name in names for theirs in makers[name].theirs}


def _mismatches(
    names: Iterable[str], makers: Mapping[str, Step], weights: Weights, wanted: Mapping[str, Sequence[int]]
) -> list[Mismatch]:
    result = []
    for name in names:
        file_shape, model_shape = makers[name].shapes(weights)[name], tuple(wanted[name])
        if file_shape != model_shape:
            result.append(Mismatch(name=name, file_shape=file_shape, model_shape=model_shape))
    return result


def _read(taken: set[str], makers: Mapping[str, Step], weights: Weights) -> tuple[dict[str, Tensor], Counter[str]]:
    """The tensors, and how many floating-point values there are of each dtype."""
    tensors: dict[str, Tensor] = {}
    n_values: Counter[str] = Counter()
    for step in {makers[name].ours: makers[name] for name in makers if name in taken}.values():
        for name, tensor in step.load(weights).items():
            if name in taken:
                tensors[name] = tensor
                if tensor.is_floating_point():
                    n_values[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
    return tensors, n_values


def _conflicts(
    tied: Mapping[str, str], tensors: Mapping[str, Tensor], makers: Mapping[str, Step], weights: Weights
) -> tuple[tuple[str, str], ...]:
    """Ties of the model that the file does not have. Only those in use are read for this comparison."""
    both = [(name, to) for name, to in tied.items() if name in makers and to in tensors]
    return tuple((name, to) for name, to in both if not same_values(makers[name].load(weights)[name], tensors[to]))


def _nothing_fits(source: str, weights: Weights, wanted: Mapping[str, Sequence[int]]) -> str:
    names = weights.names()
    examples = _listed([shown(name) for name in names[:3]]) or "nothing"
    return (
        f"None of the {len(names)} tensors of {source} is a parameter of this model, which has {len(wanted)}. "
        f"The file has {examples}, the model {_listed(list(wanted)[:3])}. "
        "Is it a checkpoint of another architecture?"
    )


def _mismatch_message(source: str, mismatched: Sequence[Mismatch]) -> str:
    lines = [f"  {m.name}: {_size(m.file_shape)} in the file, {_size(m.model_shape)} in the model" for m in mismatched]
    parameters = "1 parameter has" if len(lines) == 1 else f"{len(lines)} parameters have"
    return (
        f"{parameters} another shape in {source} than in the model:\n" + "\n".join(lines) + "\n"
        "Give the model the sizes of the file (for a classifier: num_labels), or pass ignore_mismatched_sizes=True to "
        "initialise these anew."
    )


def _newly(n: int) -> str:
    return "1 parameter is newly initialised" if n == 1 else f"{n} parameters are newly initialised"


def _advice(names: Iterable[str]) -> str:
    """House names are BERT's: what is not below an encoder or embeddings belongs to a head or the pooler."""
    if any({"encoder", "embeddings"} & set(name.split(".")) for name in names):
        return "The encoder is incomplete: is this the right checkpoint?"
    return "Train the head before using it."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
