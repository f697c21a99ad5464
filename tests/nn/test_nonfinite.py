"""Where NaN and inf begin: planted in weights, outputs, the loss and gradients."""

import pytest
import torch
from torch import nn

from fairseq_budget.nn.nonfinite import Fault, find_fault


class Model(nn.Module):
    """Two layers in a container, whose output is no tensor."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return {"logits": self.head(self.body(x))}


def fault_of(model, x, loss=lambda logits: logits.sum()):
    def compute():
        total = loss(model(x)["logits"])
        total.backward()
        return total

    return find_fault(model, compute, batch_size=len(x))


def test_finite_numbers_have_no_fault_and_leave_no_hooks():
    model = Model()
    assert fault_of(model, torch.ones(4, 3)) is None
    assert not any(module._forward_hooks for module in model.modules())


def test_weights_come_first():
    model = Model()
    model.body[1].weight.data[0, 0] = torch.nan
    assert fault_of(model, torch.ones(4, 3)) == Fault("the weights of body.1")


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 3e38])
def test_the_first_module_is_named_with_its_utterances(bad):
    model, x = Model(), torch.ones(4, 3)
    model.body[0].weight.data.fill_(2)
    x[2] = bad
    assert fault_of(model, x) == Fault("the output of body.0", (2,))


def test_then_the_loss_and_then_the_gradient_nearest_to_it():
    model, x = Model(), torch.ones(4, 3)
    assert fault_of(model, x, lambda y: y.sum() / 0) == Fault("the loss")
    model.zero_grad()
    assert fault_of(model, x, lambda y: (y - y.detach()).sqrt().sum()) == Fault(
        "the gradient of head"
    )


def test_wrappers_of_several_gpus_have_no_name():
    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = Model()

        def forward(self, x):
            return self.module(x)

    assert fault_of(Wrapper(), torch.full((2, 3), torch.nan)) == Fault(
        "the output of body.0", (0, 1)
    )
