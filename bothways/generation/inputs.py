"""The inputs of one call of ``generate``: what is continued, what an encoder reads, and decoders that begin there.

Shapes: B prompts, W columns of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.generation.call_settings import token_ids
from bothways.generation.configuration import GenerationConfig, GenerationMode
from bothways.generation.decoder import Decoder
from bothways.generation.memory import check_memory
from bothways.generation.prompts import check_ids, decoder_prompts, inferred_mask, prompts_of


class CallInputs:
    """The inputs of one call, and decoders that have read them as far as an encoder goes.

    Attributes:
        prompts: what is continued.
        sources: the ids that the model reads, without padding: of the encoder, or the prompts; None if unknown.
        pad: what stands behind rows that have ended.
    """

    def __init__(self, model: Any, config: GenerationConfig, inputs: Tensor | None, rest: dict[str, Any]) -> None:
        self.model, self.config = model, config
        ids = rest.get("input_ids") if inputs is None else inputs
        if inputs is not None and rest.get("input_ids") is not None:
            raise InputError("inputs and input_ids were both passed: pass one of them.")
        eos = token_ids(config.eos_token_id)
        bos = token_ids(config.bos_token_id)
        given_pad = token_ids(config.pad_token_id)
        self.pad = (given_pad or eos or [0])[0]
        self.encoder: dict[str, Any] = {}
        mask = rest.get("attention_mask")
        if ids is not None:
            check_ids("input_ids", ids)
            ids = ids.to(model.device, torch.int64)
            mask = inferred_mask(ids, given_pad[0] if given_pad else None, eos) if mask is None else mask
        mask = None if mask is None else mask.to(model.device)
        if model.config.is_encoder_decoder:
            self._with_encoder(ids, mask, rest, bos)
        else:
            self._without_encoder(ids, mask, rest, bos)

    def _without_encoder(self, ids: Tensor | None, mask: Tensor | None, rest: dict[str, Any], bos: list[int]) -> None:
        for name in ("inputs_embeds", "encoder_outputs", "decoder_input_ids", "decoder_attention_mask"):
            if rest.get(name) is not None:
                raise InputError(
                    f"{name} was passed, but generate() of {type(self.model).__name__} continues input_ids."
                )
        if ids is None:
            if not bos:
                raise InputError("no prompt was passed, and bos_token_id is not set. Pass input_ids.")
            ids, mask = torch.tensor([bos[:1]], device=self.model.device), None
        self.prompts = prompts_of(ids, mask, start=bos[0] if bos else None, name="input_ids")
        self.sources: tuple[Tensor, ...] | None = self.prompts.rows

    def _with_encoder(self, ids: Tensor | None, mask: Tensor | None, rest: dict[str, Any], bos: list[int]) -> None:
        embeds, encoded = rest.get("inputs_embeds"), rest.get("encoder_outputs")
        if ids is None and embeds is None and encoded is None:
            if not bos:
                raise InputError("nothing to read was passed. Pass input_ids, inputs_embeds or encoder_outputs.")
            ids = torch.tensor([bos[:1]], device=self.model.device)
        if ids is not None and embeds is not None:
            raise InputError("input_ids and inputs_embeds were both passed: pass one of them.")
        read = next(one for one in (ids, embeds, None if encoded is None else encoded[0]) if one is not None)
        self.encoder = {"input_ids": ids, "inputs_embeds": embeds, "attention_mask": mask, "encoder_outputs": encoded}
        start = self.config.decoder_start_token_id
        start = self.config.bos_token_id if start is None else start
        own, own_mask = rest.get("decoder_input_ids"), rest.get("decoder_attention_mask")
        device = self.model.device
        own = None if own is None else own.to(device, torch.int64)
        own_mask = None if own_mask is None else own_mask.to(device)
        self.prompts = decoder_prompts(own, own_mask, count=len(read), start=start, device=device)
        if ids is None:
            self.sources = None
        else:
            self.sources = tuple(ids if mask is None else (row[m.bool()] for row, m in zip(ids, mask, strict=True)))

    def decoder(self, most: int, *, model: Any = None, longest: int | None = None) -> Decoder:
        """A decoder with a row for each prompt that has read nothing, and room for so many new tokens.

        Args:
            model: another model than the one that was called.
            longest: tokens to make room for before the new ones; None for those of the longest prompt.
        """
        longest = max(len(row) for row in self.prompts.rows) if longest is None else longest
        encoder = dict(self.encoder)
        if encoder.get("encoder_outputs") is not None:
            if model is None:
                encoder |= {"input_ids": None, "inputs_embeds": None}
            else:
                encoder["encoder_outputs"] = None
        if encoder and model is not None and encoder["input_ids"] is None:
            raise InputError(
                "an assistant_model reads the inputs itself: pass input_ids, not what the encoder made of them."
            )
        model = self.model if model is None else model
        return model.start_decoding(rows=len(self.prompts.rows), capacity=longest + most, **encoder)

    def seeds(self) -> list[int] | None:
        """For each prompt the number that its draws follow from."""
        seed, count = self.config.seed, len(self.prompts.rows)
        if seed is None:
            return None
        seeds = list(seed) if isinstance(seed, (list, tuple)) else [seed] * count
        if len(seeds) != count:
            raise InputError(
                f"seed has {len(seeds)} numbers for {count} prompts. Pass one number, or one for each prompt."
            )
        return seeds

    def check_memory(self, mode: GenerationMode, most: int) -> None:
        """Refuse more rows than memory has room for, where the model says what a token needs."""
        if not hasattr(self.model, "bytes_per_token"):
            return
        config = self.config
        name = "num_beams" if config.num_beams > 1 else "num_return_sequences"
        copies = getattr(config, name)
        if mode is GenerationMode.CONTRASTIVE_SEARCH:
            name, copies = "top_k", config.top_k
        check_memory(
            rows=len(self.prompts.rows) * copies,
            capacity=max(len(row) for row in self.prompts.rows) + most,
            bytes_per_token=self.model.bytes_per_token(),
            vocab_size=self.model.config.vocab_size,
            device=torch.device(self.model.device),
            told=f"Reduce {name} ({copies:,}), max_new_tokens ({most:,}) or the number of prompts "
            f"({len(self.prompts.rows):,}).",
        )
