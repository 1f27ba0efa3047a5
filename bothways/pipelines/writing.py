"""What the pipelines of models that write share: options of ``generate`` by name, and batches of prompts.

Prompts of similar length are written together, without padding; each gets what it would get alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from bothways.errors import InputError
from bothways.generation.call_settings import SPECIAL_TOKENS, token_ids
from bothways.generation.configuration import GenerationConfig
from bothways.generation.generate import GenerationMixin, who_can_generate
from bothways.generation.settings import DEFAULTS
from bothways.models.auto import MODEL_CLASSES
from bothways.pipelines.base import Pipeline
from bothways.pipelines.generation_settings import (
    base_settings,
    layered,
    least_new_tokens,
    most_new_tokens,
    settings_of_call,
)
from bothways.pipelines.options import TextOptions, refuse_unknown, take_tokenizer_options
from bothways.pipelines.prompt_batches import MAX_ROWS, Plan, Prompt, Written, batches, rectangle, without_padding
from bothways.tasks.encoded import position_limit

MAX_CACHE_BYTES = {"cpu": 2**29}
MAX_CACHE_BYTES_ELSEWHERE = 2**33
"""What the decoder may remember of the rows of a batch, by kind of device. Not measured yet."""

ARGUMENTS = (
    *("logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "synced_gpus", "assistant_model"),
    *("streamer", "negative_prompt_ids", "negative_prompt_attention_mask", "tokenizer", "assistant_tokenizer"),
    *("custom_generate", "decoder_input_ids", "decoder_attention_mask"),
)
"""Arguments of ``generate`` that a call of a pipeline hands on, besides settings."""

_OF_ONE = ("streamer", "negative_prompt_ids", "decoder_input_ids")
"""What belongs to a single prompt: prompts are then written one after another."""


@dataclass(frozen=True, kw_only=True)
class WritingOptions(TextOptions):
    """How texts become prompts, and what is written becomes results. ``max_length`` is that of a text to read.

    Attributes:
        settings: settings of ``generate`` that this call names.
        arguments: further arguments of ``generate``.
        generation_config: in place of the pipeline's.
        return_tensors: results have ids in place of texts.
        clean_up_tokenization_spaces: None for the task's usual way.
        details: add ``n_tokens``, ``n_windows``, ``truncated`` and ``finished`` to every result.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    generation_config: GenerationConfig | None = None
    return_tensors: bool | None = None
    clean_up_tokenization_spaces: bool | None = None
    details: bool = False


class WritingPipeline(Pipeline):
    """Texts in, texts out. Subclasses make prompts of texts and results of what was written.

    ``generation_config`` has the settings of all calls: the pipeline's defaults, replaced by those of the checkpoint,
    by ``config.task_specific_params[task]``, and by those named when the pipeline is made. A call's own precede all.
    """

    options_class = WritingOptions
    chunk_items = 256
    own_settings: ClassVar[Mapping[str, Any]] = {}
    known: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: Any, tokenizer: Any = None, *, task: str = "", **options: Any) -> None:
        super().__init__(model, tokenizer, task=task, **options)
        self.generation_config, self._said = self._settings_at_construction()
        self._prepared_on: Any = None

    @classmethod
    def check_model(cls, model: Any) -> Any:
        if isinstance(model, GenerationMixin) and not cls.accepts(getattr(type(model), "task", "")):
            other = "text2text-generation" if cls.model_task == "causal-lm" else "text-generation"
            raise InputError(
                f"{cls.default_task} needs a model with a head for {cls.model_task}, but {type(model).__name__} is "
                f"for {getattr(model, 'task', 'another')}. Its task is {other!r}."
            )
        try:
            return super().check_model(model)
        except InputError as problem:
            raise InputError(f"{problem} {writers_sentence(cls.model_task)}") from None

    def write(self, prompts: Sequence[Prompt], options: WritingOptions, **arguments: Any) -> list[Written]:
        """Continue, or answer, each prompt.

        Args:
            prompts: in any order and of any lengths.
            arguments: settings that the task adds, which precede the caller's.

        Raises:
            InputError: impossible settings, or a prompt without room for new tokens.
        """
        config, said = self.settings(options, **arguments)
        self._prepare()
        plans = [self._plan(prompt, config, said) for prompt in prompts]
        alone = config.return_dict_in_generate or any(options.arguments.get(name) is not None for name in _OF_ONE)
        drawn = config.do_sample and config.seed is None
        number_of: dict[Any, int] = {}
        source = [number_of.setdefault(i if alone or drawn else plan.key, i) for i, plan in enumerate(plans)]
        distinct = sorted(number_of.values())
        found: dict[int, Written] = {}
        for members in self._batches([plans[i] for i in distinct], config, alone):
            chosen = [distinct[i] for i in members]
            found.update(zip(chosen, self._generate([plans[i] for i in chosen], config, options), strict=True))
        return [found[i] for i in source]

    def settings(self, options: WritingOptions, **arguments: Any) -> tuple[GenerationConfig, frozenset[str]]:
        """The settings of a call, and the names of those that come from the caller."""
        base, said, own = self.generation_config, self._said, self.own_settings
        given = {**options.settings, **arguments}
        if options.generation_config is not None:
            named = options.generation_config.to_diff_dict()
            of_model = self.model.generation_config.to_diff_dict()
            base, said, own = GenerationConfig(**layered(of_model, named)), frozenset(named), {}
        said = said | frozenset(options.settings)
        return settings_of_call(base, {**options.arguments, **given}, said, own), said

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        reading: dict[str, Any] = {
            k: given.pop(k) for k in ("truncation", "long_input", "add_special_tokens") if k in given
        }
        if "max_source_length" in given:
            reading["max_length"] = given.pop("max_source_length")
        changes |= take_tokenizer_options(reading)
        for name in ("details", "return_tensors", "clean_up_tokenization_spaces"):
            if name in given:
                value = given.pop(name)
                changes[name] = None if value is None else bool(value)
        given.pop("use_model_defaults", None)
        if "generation_config" in given:
            changes["generation_config"] = _checked_config(given.pop("generation_config"))
        settings = {name: given.pop(name) for name in DEFAULTS if name in given}
        stop = given.pop("stop_sequence", None)
        if stop is not None:
            settings |= self._stopping(stop)
        arguments = {name: given.pop(name) for name in ARGUMENTS if name in given}
        refuse_unknown(given, (*self.known, *DEFAULTS, *ARGUMENTS), f"the {self.default_task} pipeline")
        return changes | {"settings": settings, "arguments": arguments}

    def source_ids(self, texts: Sequence[str], options: WritingOptions, **how: Any) -> list[list[int]]:
        """The ids of texts with special tokens, whole."""
        if not texts:
            return []
        if not options.add_special_tokens:
            how.setdefault("add_special_tokens", False)
        ids: list[list[int]] = self.tokenizer(list(texts), **{"truncation": False, **how})["input_ids"]
        return ids

    def source_limit(self, options: WritingOptions) -> int | None:
        """Tokens of the longest text that the model reads at once; None if nothing limits it."""
        if options.max_length is not None:
            return options.max_length
        return position_limit(self.model.config)

    def _with(self, options: Any, given: dict[str, Any]) -> Any:
        """What a call names is added to what was named when the pipeline was made."""
        if not given:
            return options
        changes = self.parse(dict(given))
        changes["settings"] = layered(options.settings, changes["settings"])
        changes["arguments"] = {**options.arguments, **changes["arguments"]}
        return replace(options, **changes)

    def _settings_at_construction(self) -> tuple[GenerationConfig, frozenset[str]]:
        given, config = self.options.settings, self.options.generation_config
        base = base_settings(self.model, self.tokenizer, self.task, self.own_settings)
        said = frozenset(given)
        own = self.own_settings
        if config is not None:
            named = config.to_diff_dict()
            base, said, own = layered(self.model.generation_config.to_diff_dict(), named), said | frozenset(named), {}
        self.options = replace(self.options, settings={}, generation_config=None)
        return settings_of_call(GenerationConfig(**base), {**self.options.arguments, **given}, said, own), said

    def _stopping(self, text: Any) -> dict[str, Any]:
        """Settings that end a row where it has this text: an end token if it is one, else the text wherever it is."""
        if not isinstance(text, str) or not text:
            raise InputError(f"stop_sequence is {text!r:.60}; expected a text that is not empty.")
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return {"eos_token_id": ids[0]} if len(ids) == 1 else {"stop_strings": [text]}

    def _prepare(self) -> None:
        """Take the form for inference, in the dtype of this pipeline, unless the model has it."""
        stacks = self.model.stacks
        ready = all(stack.is_prepared and stack.compute_dtype == self.dtype for stack in stacks)
        if self.model.training or not ready or self._prepared_on != self.model.device:
            self.model.prepare_for_inference(self.runner.dtype)
            self._prepared_on = self.model.device

    def _plan(self, prompt: Prompt, config: GenerationConfig, said: frozenset[str]) -> Plan:
        length = len(prompt.ids) if self.model_task == "causal-lm" else prompt.counted
        most = most_new_tokens(
            config,
            said,
            length=length,
            counted=prompt.counted,
            limit=self.model.longest_output,
            what=f"input {prompt.number}",
        )
        seed = config.seed
        if isinstance(seed, (list, tuple)):
            if prompt.number >= len(seed):
                raise InputError(
                    f"seed has {len(seed)} numbers, but there is an input {prompt.number} (counted from 0). Pass one "
                    "number, or one for each input."
                )
            seed = seed[prompt.number]
        return Plan(
            prompt=prompt, most=most, least=least_new_tokens(config, counted=prompt.counted, most=most), seed=seed
        )

    def _batches(self, plans: Sequence[Plan], config: GenerationConfig, alone: bool) -> Iterator[list[int]]:
        if alone:
            return ([number] for number in range(len(plans)))
        copies = max(config.num_beams, config.num_return_sequences or 1)
        most = MAX_CACHE_BYTES.get(self.model.device.type, MAX_CACHE_BYTES_ELSEWHERE)
        most_tokens = most // (copies * max(self.model.bytes_per_token(), 1))
        return batches(plans, most_rows=max(MAX_ROWS // copies, 1), most_tokens=most_tokens)

    def _generate(self, plans: Sequence[Plan], config: GenerationConfig, options: WritingOptions) -> list[Written]:
        """One call of ``generate`` for a batch of plans with equal limits."""
        config = copy.copy(config)
        config.max_new_tokens, config.min_new_tokens, config.min_length = plans[0].most, plans[0].least or None, 0
        config.seed = None if plans[0].seed is None else [plan.seed for plan in plans]
        ends = token_ids(config.eos_token_id)
        filler = config.pad_token_id
        if not config.return_dict_in_generate:  # there padding has scores too
            filler = config.pad_token_id = self._filler(config, ends)
        ids, mask = rectangle([plan.prompt.ids for plan in plans], self.model.device)
        special = {name: getattr(config, name) for name in SPECIAL_TOKENS}
        output = self.model.generate(
            ids,
            attention_mask=mask,
            generation_config=config,
            use_model_defaults=False,
            tokenizer=self.tokenizer,
            **special,
            **self._arguments(options),
        )
        rows = (output.sequences if config.return_dict_in_generate else output).tolist()
        copies = len(rows) // len(plans)
        found = []
        for number, plan in enumerate(plans):
            own = rows[number * copies : (number + 1) * copies]
            begins = ids.shape[1] if self.model_task == "causal-lm" else plan.prompt.counted
            begin = list(plan.prompt.ids) if self.model_task == "causal-lm" else own[0][:begins]
            cut = [without_padding(row[begins:], ends, filler) for row in own]
            found.append(
                Written(
                    begin=begin,
                    new=[row for row, _ in cut],
                    finished=[ended or len(row) < plan.most for row, ended in cut],
                    output=output if config.return_dict_in_generate else None,
                )
            )
        return found

    def _arguments(self, options: WritingOptions) -> dict[str, Any]:
        """What else ``generate`` is told."""
        arguments = {k: v for k, v in options.arguments.items() if v is not None and k != "tokenizer"}
        rule = arguments.get("prefix_allowed_tokens_fn")
        if rule is not None:  # every prompt is the first of its batch, as if it were alone
            arguments["prefix_allowed_tokens_fn"] = lambda _, row: rule(0, row)
        return arguments

    def _filler(self, config: GenerationConfig, ends: Sequence[int]) -> int:
        """What stands behind rows that have ended: no end token, so that both can be told apart."""
        padding = [*token_ids(config.pad_token_id), *token_ids(self.tokenizer.pad_token_id)]
        unused = range(self.model.config.vocab_size - 1, -1, -1)
        return next(token for token in (*padding, *unused) if token not in ends)


def writers_sentence(*heads: str) -> str:
    """Which model types have such a head."""
    born = (cls for (_, task), cls in MODEL_CLASSES.items() if task in heads and not cls.family.reads_both_ways)
    able = who_can_generate(born)
    return f"Model types that write: {', '.join(able)}."


def pad_of(config: GenerationConfig) -> int:
    """What ``generate`` fills rows with."""
    return [*token_ids(config.pad_token_id), *token_ids(config.eos_token_id), 0][0]


def _checked_config(value: Any) -> GenerationConfig | None:
    if value is None or isinstance(value, GenerationConfig):
        return value
    raise InputError(f"generation_config is a {type(value).__name__}; expected a GenerationConfig.")
