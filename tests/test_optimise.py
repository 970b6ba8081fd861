"""Rates against formulas written out by hand, moments and averages against a slow twin."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fewlabels.training import optimisation
from fewlabels.training.optimisation import Optimisation
from fewlabels.types import UnknownName


def rates(steps: int, **options: object) -> list[float]:
    return [rate.lr for rate in optimisation.rates(Optimisation(**options), steps)]


def test_constant_and_plateau_start_from_the_rate_itself():
    for schedule in ("constant", "plateau"):
        assert rates(4, schedule=schedule, lr=0.3) == [0.3] * 4


def test_cosine_is_half_a_cosine():
    expected = [0.1 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    assert rates(8, schedule="cosine", lr=0.1) == pytest.approx(expected)


def test_one_cycle_rises_over_three_tenths_and_falls_while_momentum_does_the_opposite():
    found = optimisation.rates(Optimisation(schedule="one_cycle", lr=1.0), 100)
    peak = max(range(100), key=lambda step: found[step].lr)
    assert found[0].lr == pytest.approx(1 / 25)
    assert peak in (29, 30)
    assert found[-1].lr < 1e-3
    assert (found[0].beta1, found[peak].beta1) == pytest.approx((0.95, 0.85), abs=1e-3)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_warm_up_rises_in_equal_parts_to_the_first_rate_of_the_schedule(schedule: str):
    found = rates(10, schedule=schedule, lr=0.5, warm_up=4)
    first = rates(6, schedule=schedule, lr=0.5)
    assert found[4:] == first
    assert found[:4] == pytest.approx([first[0] * part / 5 for part in (1, 2, 3, 4)])


@pytest.mark.parametrize("warm_up", [-1, 5, 6])
def test_a_warm_up_that_leaves_no_step_is_refused(warm_up: int):
    with pytest.raises(ValueError, match=f"{warm_up} steps does not fit into 5 steps"):
        rates(5, warm_up=warm_up)


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_plateau_is_that_of_pytorch(patience: int):
    generator = torch.Generator().manual_seed(patience)
    scores = (torch.randint(0, 6, (40,), generator=generator) / 8).tolist()
    how = Optimisation(schedule="plateau", lr=1.0, plateau_patience=patience, plateau_factor=0.5)
    idle = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    twin = ReduceLROnPlateau(idle, "max", 0.5, patience, threshold=0.0, eps=0.0)
    for seen in range(1, 41):
        twin.step(scores[seen - 1])
        assert optimisation.reduced(how, scores[:seen]) == idle.param_groups[0]["lr"]
    assert optimisation.reduced(Optimisation(schedule="cosine"), scores) == 1


def test_patience_counts_from_the_first_of_the_best():
    assert optimisation.since_best([]) == 0
    assert optimisation.since_best([0.1, 0.4, 0.4, 0.2]) == 2
    assert optimisation.since_best([0.1, 0.2]) == 0


def test_the_average_of_weights_is_the_recursion_written_out():
    """Shares of the newest: 1 - min(0.8, s / (s + 9)), so 0.9, 9/11, 0.75, ..., at least 0.2."""
    model, expected = nn.BatchNorm1d(2), 1.0
    shadow = copy.deepcopy(model)
    for step in range(1, 60):
        with torch.no_grad():
            model.weight.fill_(step)
            model.num_batches_tracked.fill_(step)
        optimisation.average(shadow, model, 0.8, step)
        share = max(0.2, 9 / (step + 9))
        expected = (1 - share) * expected + share * step
        assert shadow.weight[0].item() == pytest.approx(expected, rel=1e-5)
    assert shadow.num_batches_tracked == 59


@pytest.mark.parametrize("name", optimisation.OPTIMISERS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_optimiser_goes_on_from_its_stored_moments(name: str, layout: torch.memory_format):
    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        model = nn.Conv2d(3, 4, 3).to(memory_format=layout)
        nn.init.constant_(model.weight, 0.1)
        nn.init.constant_(model.bias, 0.0)
        return model, optimisation.optimiser(model, Optimisation(optimiser=name, lr=0.01))

    def stepped(model: nn.Module, optimiser: torch.optim.Optimizer, seeds: range) -> None:
        for seed in seeds:
            optimiser.zero_grad()
            images = torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
            model(images).square().sum().backward()
            optimiser.step()

    whole, optimiser = fresh()
    stepped(whole, optimiser, range(6))
    half, before = fresh()
    stepped(half, before, range(3))
    again, after = fresh()
    again.load_state_dict(half.state_dict())
    stored = {k: v.contiguous().clone() for k, v in optimisation.moments(before).items()}
    optimisation.set_moments(after, stored)
    assert set(stored) == {f"{i}.{m}" for i in (0, 1) for m in ("step", "exp_avg", "exp_avg_sq")}
    stepped(again, after, range(3, 6))
    assert all(torch.equal(again.state_dict()[k], v) for k, v in whole.state_dict().items())
    assert optimisation.moments(after)["0.exp_avg"].is_contiguous(memory_format=layout)


def test_adam_decays_through_the_gradient_and_adamw_beside_it():
    """One step of rate 0.1 and decay 0.5 from 4, gradient 0: Adam moves by its rate, AdamW by
    rate * decay * 4.
    """
    moved = {}
    for name in optimisation.OPTIMISERS:
        model = nn.Linear(1, 1, bias=False)
        nn.init.constant_(model.weight, 4.0)
        how = Optimisation(optimiser=name, lr=0.1, weight_decay=0.5)
        optimiser = optimisation.optimiser(model, how)
        model.weight.grad = torch.zeros(1, 1)
        optimiser.step()
        moved[name] = model.weight.item()
    assert moved == pytest.approx({"adam": 3.9, "adamw": 3.8}, abs=1e-6)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownName, match="optimiser 'sgd'; known: adam, adamw"):
        rates(3, optimiser="sgd")
    with pytest.raises(UnknownName, match="known: constant, cosine, one_cycle, plateau"):
        rates(3, schedule="step")
