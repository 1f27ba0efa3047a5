"""The oracle: tiny random models of the reference library, and their weights in ours."""

from __future__ import annotations

import torch
import transformers

from bothways.models.auto import MODEL_CLASSES

_ROBERTA = {
    "vocab_size": 97,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 50,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "num_labels": 5,
}

_TWO_SIDES = {
    "vocab_size": 97,
    "d_model": 24,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 38,
    "max_position_embeddings": 50,
    "dropout": 0.0,
    "decoder_start_token_id": 2,
    "num_labels": 5,
}

TINY = {
    "bert": {
        "vocab_size": 97,
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "max_position_embeddings": 50,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "num_labels": 5,
    },
    "albert": {
        "vocab_size": 97,
        "embedding_size": 14,
        "hidden_size": 24,
        "num_hidden_layers": 4,
        "num_hidden_groups": 2,
        "inner_group_num": 2,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "max_position_embeddings": 50,
        "classifier_dropout_prob": 0.0,
        "num_labels": 5,
    },
    "electra": {
        "vocab_size": 97,
        "embedding_size": 14,
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "max_position_embeddings": 50,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "summary_last_dropout": 0.0,
        "num_labels": 5,
    },
    "distilbert": {
        "vocab_size": 97,
        "dim": 24,
        "n_layers": 3,
        "n_heads": 4,
        "hidden_dim": 40,
        "max_position_embeddings": 50,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "qa_dropout": 0.0,
        "seq_classif_dropout": 0.0,
        "num_labels": 5,
    },
    "modernbert": {
        "vocab_size": 97,
        "hidden_size": 24,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "intermediate_size": 38,
        "max_position_embeddings": 50,
        "local_attention": 6,
        "pad_token_id": 0,
        "num_labels": 5,
    },
    "gpt2": {
        "vocab_size": 97,
        "n_embd": 24,
        "n_layer": 3,
        "n_head": 4,
        "n_inner": 40,
        "n_positions": 50,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "num_labels": 5,
    },
    "llama": {
        "vocab_size": 97,
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "intermediate_size": 38,
        "max_position_embeddings": 50,
        "pad_token_id": 0,
        "classifier_dropout": 0.0,
        "num_labels": 5,
    },
    "mistral": {
        "vocab_size": 97,
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": None,
        "intermediate_size": 38,
        "max_position_embeddings": 50,
        "sliding_window": 5,
        "pad_token_id": 0,
        "classifier_dropout": 0.0,
        "num_labels": 5,
    },
    "openai-gpt": {
        "vocab_size": 97,
        "n_embd": 24,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 50,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "pad_token_id": 0,
        "num_labels": 5,
    },
    "t5": {
        "vocab_size": 97,
        "d_model": 24,
        "d_kv": 5,
        "d_ff": 38,
        "num_layers": 3,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 12,
        "dropout_rate": 0.0,
        "decoder_start_token_id": 0,
        "num_labels": 5,
    },
    "bart": _TWO_SIDES,
    "mbart": {**_TWO_SIDES, "scale_embedding": True},
    "pegasus": {**_TWO_SIDES, "scale_embedding": True, "pad_token_id": 0, "eos_token_id": 1, "forced_eos_token_id": 1},
    "marian": {
        **_TWO_SIDES,
        "decoder_vocab_size": 97,
        "scale_embedding": True,
        "activation_function": "swish",
        "pad_token_id": 4,
        "eos_token_id": 0,
        "forced_eos_token_id": 0,
        "decoder_start_token_id": 4,
    },
    "roberta": {**_ROBERTA, "type_vocab_size": 1},
    "xlm-roberta": {**_ROBERTA, "type_vocab_size": 2},
    "camembert": {**_ROBERTA, "type_vocab_size": 1, "pad_token_id": 3},
}
"""For each family a configuration with sizes that differ from each other, so that no transposition hides."""

WITH_TARGET = sorted(
    (key, cls)
    for key, cls in MODEL_CLASSES.items()
    if cls.config_class().is_encoder_decoder and key[1] in ("base", "seq2seq-lm")
)
"""The classes that read a source and a target: tested in test_seq2seq_parity.py."""

READERS = sorted(name for name in TINY if (name, "masked-lm") in MODEL_CLASSES)
"""The families that read in both directions."""

ALL_CLASSES = sorted(item for item in MODEL_CLASSES.items() if item not in WITH_TARGET)
"""The classes that read one text."""


def tiny_pair(model_type: str, task: str, seed: int = 0, **changes):
    """(reference model, our model) with the same random weights, in evaluation mode."""
    ours_class = MODEL_CLASSES[model_type, task]
    theirs_class = getattr(transformers, ours_class.__name__)
    settings = {**TINY[model_type], **changes}
    if task == "question-answering" or (model_type, task) == ("albert", "pretraining"):
        settings["num_labels"] = 2  # the reference sizes these heads by the labels and then needs two
    if task == "causal-lm" and model_type in READERS:
        settings["is_decoder"] = True
    torch.manual_seed(seed)
    theirs_config = theirs_class.config_class(**settings, attn_implementation="eager")
    theirs = theirs_class(theirs_config).eval()
    if (model_type, task) == ("openai-gpt", "double-heads"):
        theirs.transformer.register_forward_pre_hook(_flat_mask, with_kwargs=True)
    with torch.no_grad():
        for parameter in theirs.parameters():  # biases start at zero and norms at one: let them matter
            parameter.add_(torch.randn_like(parameter) * 0.1)
    ours = ours_class(ours_class.config_class(**settings)).eval()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def _flat_mask(module, args, kwargs):
    """The first GPT of the reference takes ids of several choices, but a mask of rows only."""
    mask = kwargs["attention_mask"]
    return args, kwargs if mask is None else {**kwargs, "attention_mask": mask.flatten(0, -2)}


def tiny_inputs(
    model_type: str = "bert", *, seed: int = 0, batch: int = 5, seq: int = 17, vocab: int = 97, mask: str = "right"
) -> dict:
    """Random ids, segments if the family has any, and a mask: "none", "right" padding, "left" padding or "holes"."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, vocab, (batch, seq), generator=generator)
    n_types = getattr(MODEL_CLASSES[model_type, "base"].config_class(**TINY[model_type]), "type_vocab_size", 0)
    types = torch.randint(0, n_types or 1, (batch, seq), generator=generator)
    lengths = torch.randint(3, seq + 1, (batch, 1), generator=generator)
    columns = torch.arange(seq)
    kept = {
        "none": torch.ones(batch, seq, dtype=torch.bool),
        "right": columns < lengths,
        "left": columns >= seq - lengths,
        "holes": (torch.rand(batch, seq, generator=generator) > 0.3) | (columns == 0),
    }[mask]
    segments = {"token_type_ids": types} if n_types else {}
    return {"input_ids": ids, **segments, "attention_mask": kept.long()}


def by_our_names(ours, values: dict) -> dict:
    """Values by the reference's names of parameters, such as gradients, by ours; a tied one by its first name.

    None stays None. Names of ours stay as they are.
    """
    renamed: dict = {}
    key_map = ours.family.key_map_for(ours.config)
    for step in key_map.to_ours(values).steps:
        parts = [values[name] for name in step.theirs]
        renamed |= dict.fromkeys(step.ours) if any(p is None for p in parts) else step.apply(parts)
    one_name = {tie.name: tie.to for tie in key_map.ties}
    return {one_name.get(name, name): value for name, value in renamed.items()}
