"""A head that writes beside one that chooses: which token is read, rows without choices, what is refused."""

from __future__ import annotations

import pytest
import torch
import transformers

import bothways
from bothways.errors import ConfigError, InputError
from tests.models.reference import TINY, tiny_inputs, tiny_pair

CASES = ["gpt2", "openai-gpt"]


def of_choices() -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (2, 3, 17), padded at the right."""
    inputs = tiny_inputs("gpt2", batch=6)
    return inputs["input_ids"].view(2, 3, -1), inputs["attention_mask"].view(2, 3, -1)


@pytest.mark.parametrize("model_type", CASES)
@torch.no_grad()
def test_the_last_token_is_read_unless_another_is_named(model_type):
    _, ours = tiny_pair(model_type, "double-heads")
    ids, mask = of_choices()
    columns = mask.sum(-1) - 1
    by_default = ours(ids, attention_mask=mask).mc_logits
    assert by_default.shape == (2, 3)
    assert torch.equal(by_default, ours(ids, attention_mask=mask, mc_token_ids=columns).mc_logits)
    others = ours(ids, attention_mask=mask, mc_token_ids=columns - 1).mc_logits
    assert not torch.allclose(others, by_default, atol=1e-3)
    for row in range(2):
        for choice in range(3):
            alone = ours(ids[row : row + 1, choice, : int(columns[row, choice]) + 1])
            assert alone.mc_logits.shape == (1,)
            torch.testing.assert_close(alone.mc_logits[0], by_default[row, choice], atol=1e-5, rtol=0)


def test_both_losses():
    _, ours = tiny_pair("gpt2", "double-heads")
    ids, _ = of_choices()
    output = ours(ids, labels=ids, mc_labels=torch.tensor([2, 0]))
    words = torch.nn.functional.cross_entropy(output.logits[..., :-1, :].flatten(0, 2), ids[..., 1:].flatten())
    torch.testing.assert_close(output.loss, words)
    torch.testing.assert_close(
        output.mc_loss, torch.nn.functional.cross_entropy(output.mc_logits, torch.tensor([2, 0]))
    )
    assert ours.config.num_labels == 1


@torch.no_grad()
def test_it_writes_as_the_model_with_one_head():
    theirs, ours = tiny_pair("gpt2", "double-heads")
    ids = of_choices()[0][0, :, :6]
    options = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None}
    expected = transformers.GPT2LMHeadModel(theirs.config).eval()
    expected.load_state_dict({k: v for k, v in theirs.state_dict().items() if "multiple" not in k})
    assert ours.generate(ids, **options).tolist() == expected.generate(ids, **options).tolist()


def test_columns_that_cannot_be_read():
    _, ours = tiny_pair("gpt2", "double-heads")
    ids, mask = of_choices()
    with pytest.raises(InputError, match=r"shape \(6,\), expected \(2, 3\): one column for each text"):
        ours(ids, mc_token_ids=torch.zeros(6, dtype=torch.int64))
    with pytest.raises(InputError, match="go from 0 to 17, expected columns from 0 to 16"):
        ours(ids, mc_token_ids=torch.tensor([[0, 0, 0], [0, 0, 17]]))
    mask[1, 0, 9:] = 0
    with pytest.raises(InputError, match="column 12 of text 3, which the mask leaves out"):
        ours(ids, attention_mask=mask, mc_token_ids=torch.tensor([[0, 0, 0], [12, 0, 0]]))


@pytest.mark.parametrize("change", [{"summary_type": "mean"}, {"summary_proj_to_labels": False}])
def test_settings_that_give_no_number(change):
    with pytest.raises(ConfigError, match="only 'cls_index', True and True give one number for each text"):
        bothways.GPT2DoubleHeadsModel(bothways.GPT2Config(**{**TINY["gpt2"], **change}))
