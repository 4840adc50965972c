"""Schedules and parameter groups."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitrail.configs import CNNConfig, TrainConfig, ViTConfig
from vitrail.models.build import build_model
from vitrail.training.optim import build_optimizers, learning_rate, load_state_tensors, state_tensors

CONFIG = TrainConfig(optimizer="adamw", lr=1.0, weight_decay=0.1, warmup=0.1, epochs=1, batch_size=1, threads=1)
VIT = ViTConfig(image_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=2, mlp_dim=8, num_registers=2)


@given(
    total=st.integers(1, 500),
    warmup=st.floats(0, 0.9),
    schedule=st.sampled_from(["constant", "cosine", "linear"]),
)
def test_the_rate_rises_to_the_peak_and_never_exceeds_it(total, warmup, schedule):
    config = dataclasses.replace(CONFIG, warmup=warmup, schedule=schedule)
    rates = [learning_rate(step, total, config) for step in range(total)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_rates_by_hand():
    linear = dataclasses.replace(CONFIG, warmup=0.0, schedule="linear")
    assert [learning_rate(step, 4, linear) for step in range(4)] == [1, 0.75, 0.5, 0.25]
    cosine = dataclasses.replace(CONFIG, warmup=0.0, schedule="cosine")
    assert learning_rate(2, 4, cosine) == pytest.approx(0.5)
    warm = dataclasses.replace(CONFIG, warmup=0.5, schedule="constant")
    assert [learning_rate(step, 6, warm) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]


def groups(optimizer: str, model_config) -> dict[str, tuple[str, float]]:
    """Of every parameter: the optimizer that has it, and its decay."""
    model = build_model(model_config)
    names = {id(p): name for name, p in model.named_parameters()}
    found = {}
    for opt in build_optimizers(model, dataclasses.replace(CONFIG, optimizer=optimizer)):
        for group in opt.param_groups:
            for p in group["params"]:
                assert names[id(p)] not in found
                found[names[id(p)]] = (type(opt).__name__, group["weight_decay"])
    assert set(found) == set(names.values())
    return found


@pytest.mark.parametrize(
    ("stem", "convolutions"),
    [("linear", set()), ("conv", {"3", "6"}), ("pooled", {"4", "7", "11"})],
    ids=["linear", "conv", "pooled"],
)
def test_muon_takes_the_weights_between_hidden_layers_and_nothing_else(stem, convolutions):
    found = groups("muon", dataclasses.replace(VIT, patch_size=4, stem=stem))
    matrices = {f"blocks.0.{name}.weight" for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")}
    matrices |= {f"patch_embed.{number}.weight" for number in convolutions}
    assert {name for name, (kind, _) in found.items() if kind == "Muon"} == matrices
    assert all(kind == "AdamW" for kind, _ in groups("muon", CNNConfig()).values())


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
def test_matrices_that_are_stored_as_one_get_updates_that_are_orthogonal_each(mlp):
    torch.manual_seed(0)
    model = build_model(dataclasses.replace(VIT, mlp=mlp))
    muon, *_ = build_optimizers(model, dataclasses.replace(CONFIG, optimizer="muon", weight_decay=0.0))
    block = model.blocks[0]
    before = {name: p.detach().clone() for name, p in block.named_parameters()}
    for p in block.parameters():
        p.grad = torch.randn_like(p)
    muon.step()
    lr = muon.param_groups[0]["lr"]
    for name, parts in (("attn.qkv", 3), ("attn.proj", 1), ("mlp.fc1", 2 if mlp == "swiglu" else 1)):
        update = before[f"{name}.weight"] - block.get_parameter(f"{name}.weight").detach()
        for part in update.chunk(parts):
            values = torch.linalg.svdvals(part) / (lr * 0.2 * max(part.shape) ** 0.5)
            assert values.max() < 1.3
            assert values.median() > 0.6


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
def test_only_weights_of_layers_decay(optimizer):
    found = groups(optimizer, VIT)
    undecayed = {name for name, (_, decay) in found.items() if decay == 0}
    assert {"cls_token", "positions.embed", "registers", "norm.weight", "head.0.bias"} <= undecayed
    assert not any("norm" in name or name.endswith("bias") for name in set(found) - undecayed)


def test_positions_of_rows_and_columns_do_not_decay():
    found = groups("adamw", dataclasses.replace(VIT, pos_embed="learned2d"))
    assert {found[name][1] for name in ("positions.rows", "positions.columns")} == {0}


@pytest.mark.parametrize(
    ("changes", "matrices", "vectors"),
    [
        (
            {},
            ["attn.proj", "mlp.fc1", "mlp.fc2", "attn.qkv"],
            ["cls_token", "registers", "positions.embed"],
        ),
        (
            {"pos_embed": "learned2d", "readout": ("cls", "dist"), "mlp": "swiglu"},
            ["attn.proj", "mlp.fc2", "mlp.fc1", "attn.qkv"],
            ["cls_token", "dist_token", "registers", "positions.rows", "positions.columns"],
        ),
    ],
    ids=["learned", "learned2d"],
)
def test_parameters_have_the_order_by_which_earlier_checkpoints_count_them(changes, matrices, vectors):
    """An optimizer's state is stored by number: another order would load it into other parameters."""
    in_order = list(groups("muon", dataclasses.replace(VIT, **changes)))
    layers = [f"{name}.weight" for name in (*(f"blocks.0.{name}" for name in matrices), "patch_embed.proj", "head.0")]
    expected = [*layers, *vectors, "patch_embed.proj.bias"]
    assert in_order[: len(expected)] == expected


def test_plain_adam_decays_everything_as_torch_does():
    assert {decay for _, decay in groups("adam", VIT).values()} == {0.1}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "muon"])
def test_state_survives_the_round_trip(optimizer):
    def make():
        torch.manual_seed(0)
        model = build_model(VIT)
        return model, build_optimizers(model, dataclasses.replace(CONFIG, optimizer=optimizer))

    def step(model, optimizers, seed):
        generator = torch.Generator().manual_seed(seed)
        model(torch.randn(2, 3, 8, 8, generator=generator)).square().sum().backward()
        for opt in optimizers:
            opt.step()
            opt.zero_grad()

    model, optimizers = make()
    step(model, optimizers, 1)
    copy, fresh = make()
    copy.load_state_dict(model.state_dict())
    load_state_tensors(fresh, {name: t.clone() for name, t in state_tensors(optimizers).items()})
    for m, o in ((model, optimizers), (copy, fresh)):
        step(m, o, 2)
    for a, b in zip(model.parameters(), copy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_state_of_another_order_of_parameters_is_refused():
    model = build_model(VIT)
    optimizers = build_optimizers(model, dataclasses.replace(CONFIG, optimizer="muon"))
    with pytest.raises(RuntimeError, match="has shape"):
        load_state_tensors(optimizers, {"0.0.momentum_buffer": torch.zeros(3, 3)})
