"""The ``Trainer`` of models that write: evaluation may read what the model writes instead of its scores."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from bothways.errors import InputError
from bothways.generation.configuration import GenerationConfig
from bothways.trainer.outputs import PredictionOutput
from bothways.trainer.trainer import Trainer


class Seq2SeqTrainer(Trainer):
    """``Trainer`` whose ``evaluate`` and ``predict`` call ``generate`` with ``predict_with_generate``.

    Args: those of ``Trainer``; ``args`` is a ``Seq2SeqTrainingArguments``, whose ``generation_config`` becomes that of
        the model.
    """

    model: Any
    args: Any
    _gen_kwargs: dict[str, Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked = getattr(self.args, "generation_config", None)
        if asked is not None:
            self.model.generation_config = self.load_generation_config(asked)
        if getattr(self.args, "predict_with_generate", False) and not hasattr(self.model, "generation_config"):
            raise InputError(
                f"predict_with_generate=True needs a model that writes, but {type(self.model).__name__} has no "
                "generate(). Load it with AutoModelForSeq2SeqLM or AutoModelForCausalLM."
            )

    @staticmethod
    def load_generation_config(gen_config_arg: Any) -> GenerationConfig:
        """The settings themselves, or those in a file, a directory or a model of that name; checked."""
        if isinstance(gen_config_arg, GenerationConfig):
            config = copy.deepcopy(gen_config_arg)
        else:
            config = GenerationConfig.from_pretrained(gen_config_arg)
        config.validate()
        return config

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
        **gen_kwargs: Any,
    ) -> dict[str, float]:
        """As ``Trainer.evaluate``; further arguments go to ``generate`` (``max_length``, ``num_beams``)."""
        self._gen_kwargs = self._with_defaults(gen_kwargs)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    def predict(
        self,
        test_dataset: Any,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "test",
        **gen_kwargs: Any,
    ) -> PredictionOutput:
        """As ``Trainer.predict``; predictions are the ids that were written, filled up with -100."""
        self._gen_kwargs = self._with_defaults(gen_kwargs)
        return super().predict(test_dataset, ignore_keys, metric_key_prefix)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
        **gen_kwargs: Any,
    ) -> tuple[Tensor | None, Any, Any]:
        """Loss, written ids (B, L) and labels (B, L) of one batch."""
        if not self.args.predict_with_generate or prediction_loss_only:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        inputs = self._prepare_inputs(inputs)
        settings = gen_kwargs or (self._with_defaults({}) if self._gen_kwargs is None else self._gen_kwargs)
        written = self.model.generate(**_to_write_from(inputs), **settings)
        loss = labels = None
        if inputs.get("labels") is not None:
            with torch.no_grad(), self.compute_loss_context_manager():
                loss = self.compute_loss(model, dict(inputs)).detach().mean()
            labels = self._filled_up(inputs["labels"])
        if self.args.prediction_loss_only:
            return loss, None, None
        return loss, self._filled_up(written), labels

    def _with_defaults(self, gen_kwargs: dict[str, Any]) -> dict[str, Any]:
        """What a call asks for, else what the arguments say."""
        settings = {name: value for name, value in gen_kwargs.items() if value is not None}
        longest, beams = self.args.generation_max_length, self.args.generation_num_beams
        if longest is not None and not {"max_length", "max_new_tokens"} & set(settings):
            settings["max_length"] = longest
        if beams is not None:
            settings.setdefault("num_beams", beams)
        return settings

    def _filled_up(self, ids: Tensor) -> Tensor:
        """As long as the settings of the model allow, (B, L), as the ecosystem hands out what was written."""
        config = self.model.generation_config
        target = config.max_length or 0
        if ids.shape[-1] >= target and config.max_new_tokens is not None:
            target = config.max_new_tokens + 1
        missing = target - ids.shape[-1]
        return ids if missing <= 0 else nn.functional.pad(ids, (0, missing), value=self._pad_token_id())

    def _pad_token_id(self) -> int:
        tokenizer = self.processing_class
        if tokenizer is not None and hasattr(tokenizer, "pad_token_id"):
            found = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        else:
            found = self.model.config.pad_token_id
        if found is None:
            raise InputError(
                "neither the tokeniser nor the configuration names a padding token, which fills up what was written. "
                "Set model.config.pad_token_id."
            )
        return found


def _to_write_from(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs of ``generate``: without the labels, and without what was made of them."""
    left_out = {"labels"}
    labels, begun = inputs.get("labels"), inputs.get("decoder_input_ids")
    if labels is not None and begun is not None and labels.shape == begun.shape:
        left_out |= {"decoder_input_ids", "decoder_attention_mask"}
    return {name: value for name, value in inputs.items() if name not in left_out}
