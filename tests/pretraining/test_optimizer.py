"""Muon: orthogonal updates of the matrices of blocks, AdamW for all else, and a state that goes on exactly."""

from __future__ import annotations

import copy

import pytest
import torch

from bothways.engine.optimizers import AdamW, parameter_groups
from bothways.engine.state_files import load_state, save_state
from bothways.errors import UsageError
from bothways.models.adapters import add_lora
from bothways.pretraining.goal_table import GOALS
from bothways.pretraining.optimizer import BETAS, EPS, block_matrices, make_optimizer, orthogonal
from tests.pretraining.small import model_for, settings_for, tokenizer_for


@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 48), (1, 8)])
def test_singular_values_become_nearly_one_and_vectors_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = orthogonal(matrix)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.linalg.svdvals(found)
    clear = s / s.norm() > 0.02  # smaller ones take more iterations
    assert found.shape == shape and bool(clear.any())
    inside = u.T @ found @ vh.T
    assert inside.diagonal()[clear].min() > 0.6 and values.max() < 1.3
    off = inside - torch.diag(inside.diagonal())
    assert off.abs().max() < 1e-10
    torch.testing.assert_close(orthogonal(1e-3 * matrix), found)
    assert not orthogonal(torch.zeros(shape)).any()


def model_of(objective, tmp_path):
    settings = settings_for(objective)
    return model_for(settings, tokenizer_for(objective, tmp_path / "t"), tmp_path)


def optimizer_of(name, model, rate=1e-2, decay=0.1):
    return make_optimizer(name, parameter_groups(model, learning_rate=rate, weight_decay=decay), model)


def with_gradients(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return model


@pytest.mark.parametrize("objective", list(GOALS))
def test_muon_has_the_matrices_of_blocks_and_adamw_all_else(objective, tmp_path):
    """All else moves exactly as under AdamW alone."""
    model = model_of(objective, tmp_path)
    other = copy.deepcopy(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    matrices = block_matrices(model)
    own = [name for name, p in model.named_parameters() if id(p) in matrices]
    sizes = [before[name].numel() for name in own]
    assert sum(sizes) > 5_000 and not any(part in name for name in own for part in ("embeddings", "cls", "lm_head"))
    assert all(p.ndim == 2 for name, p in before.items() if name in own)
    muon, adamw = optimizer_of("muon", model), optimizer_of("adamw", other)
    assert sum(len(group["params"]) for group in muon.param_groups) == len(before)
    for seed in (1, 2):
        with_gradients(model, seed)
        with_gradients(other, seed)
        muon.step()
        adamw.step()
    assert isinstance(adamw, AdamW) and adamw.defaults["betas"] == BETAS and adamw.defaults["eps"] == EPS
    theirs = dict(other.named_parameters())
    for name, parameter in model.named_parameters():
        same = torch.equal(parameter, theirs[name])
        assert same != (name in own), name
        assert not torch.equal(parameter, before[name]), name


def test_an_update_has_the_size_of_adamws(tmp_path):
    """0.2 in the root mean square, as Liu et al. 2025 have it, and weights decay by rate times decay."""
    model = model_of("mlm", tmp_path)
    name, matrix = next((n, p) for n, p in model.named_parameters() if n.endswith("attention.self.query.weight"))
    before = matrix.detach().clone()
    optimizer = optimizer_of("muon", model, rate=0.01, decay=0.1)
    with_gradients(model, 3)
    optimizer.step()
    update = (matrix.detach() - before * (1 - 0.01 * 0.1)) / 0.01
    assert update.square().mean().sqrt() == pytest.approx(0.2, rel=0.25), name
    # the first momentum is 0.05 of the gradient, and Nesterov's look ahead changes only its length
    torch.testing.assert_close(update, -0.2 * 32**0.5 * orthogonal(matrix.grad), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_state_that_was_written_goes_on_to_the_same_bits(name, tmp_path):
    model = model_of("mlm", tmp_path)
    optimizer = optimizer_of(name, model)
    for seed in (1, 2):
        with_gradients(model, seed)
        optimizer.step()
    save_state(tmp_path, "optimizer", optimizer.state_dict())
    resumed = copy.deepcopy(model)
    fresh = optimizer_of(name, resumed, rate=0.5)
    fresh.load_state_dict(load_state(tmp_path, "optimizer"))
    for seed in (3, 4):
        for own, chosen in ((model, optimizer), (resumed, fresh)):
            with_gradients(own, seed)
            for group in chosen.param_groups:  # as before each step of a run
                group["lr"] = 2e-3
            chosen.step()
    for (path, one), two in zip(model.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two), path


def test_muon_has_the_thin_matrices_of_lora_and_leaves_the_wide_ones(tmp_path):
    model = model_of("mlm", tmp_path)
    add_lora(model, r=2, targets=("query", "value"))
    thin = [p for path, p in model.named_parameters() if "lora_" in path]
    with_gradients(model, 3)
    before = [p.detach().clone() for p in thin]
    optimizer = optimizer_of("muon", model, rate=0.01, decay=0.0)
    assert [p for group in optimizer.muon_groups for p in group["params"]] == thin and len(thin) > 2
    optimizer.step()
    for old, new in zip(before, thin, strict=True):
        update = (new.detach() - old) / -0.01
        torch.testing.assert_close(update, 0.2 * max(old.shape) ** 0.5 * orthogonal(new.grad), atol=1e-4, rtol=1e-3)


def test_muon_where_no_matrix_learns_is_refused(tmp_path):
    model = model_of("mlm", tmp_path)
    model.bert.requires_grad_(False)
    with pytest.raises(UsageError, match="--optimizer muon is for the matrices of blocks.*--optimizer adamw"):
        optimizer_of("muon", model)
