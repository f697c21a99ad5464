"""Settings that Hydra or fairseq refuse: one line with the nearest right word."""

import copy

import pytest

pytestmark = pytest.mark.fairseq
pytest.importorskip("fairseq")
import hydra  # noqa: E402
from fairseq.dataclass.initialize import hydra_init  # noqa: E402
from hydra.core.global_hydra import GlobalHydra  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

from fairseq_budget.errors import BudgetError  # noqa: E402
from fairseq_budget.launch.settings import check, register, told  # noqa: E402
from tests.conftest import ROOT  # noqa: E402


def compose(*overrides: str):
    """A preset as Hydra composes it, by our words where it refuses to."""
    GlobalHydra.instance().clear()
    hydra_init("budget_tera_demo")
    with hydra.initialize_config_dir(str(ROOT / "examples"), version_base="1.1"):
        return told(lambda: hydra.compose("budget_tera_demo", overrides=list(overrides)))


@pytest.fixture(scope="module")
def composed():
    register()
    return compose("task.data=data", "+model.seed=3", "model.encoder_layers=2")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("task.sizze=3", r"there is no setting task.sizze; did you mean model.size\?"),
        ("size=small", r"there is no setting size; did you mean model.size\?"),
        ("modl.size=small", r"there is no setting modl; did you mean model\?"),
        ("task.dta=x", r"there is no setting task.dta; did you mean task.data\?"),
        ("optimization.max_updates=3", r"did you mean optimization.max_update\?"),
        ("optimization.max_update=many", r"optimization.max_update: Value 'many' .* Integer$"),
        ("distributed_training.ddp_backend=x", r"ddp_backend: Invalid value 'x', expected one of"),
        ("model.seed=3", r"model.seed is not in the preset: write \+model.seed=VALUE to add it"),
        ("model=small", r"'model'. No match .* is SECTION.FIELD=VALUE: model.size=small\)$"),
        ("task.data", r"'task.data' cannot be read: write FIELD=VALUE without spaces"),
    ],
)
def test_what_hydra_refuses_is_said_in_one_line_that_ends_the_program(override, words):
    with pytest.raises(SystemExit, match=rf"^fairseq-hydra-train: error: .*{words}"):
        compose(override)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("+task.sizze=3", r"there is no setting task.sizze; did you mean model.size\?"),
        ("+model.encoder_layer=3", r"did you mean model.encoder_layers\?"),
        ("+criterion.feature_penalty=3", r"did you mean criterion.feature_penalty_weight\?"),
        ("task.mask_prob=high", r"task.mask_prob: Value 'high' .* could not be converted to Float"),
        ("task._name=budget_pretrainin", r"no task._name=.*; did you mean budget_pretraining\?"),
        ("model._name=budget_terra", r"did you mean budget_tera\?"),
        ("criterion._name=budget_reconstuction", r"did you mean budget_reconstruction\?"),
        ("optimizer._name=adm", r"there is no optimizer._name=adm; did you mean adam\?"),
        ("lr_scheduler._name=budget_edn", r"did you mean budget_eden\?"),
        ("optimization.lr=[-1.0]", r"optimization.lr=-1.0: expected a finite number from 0"),
        ("optimization.lr=[nan]", r"optimization.lr=nan: expected a finite number from 0"),
        ("task.data=???", r"task.data is not set: add task.data=VALUE"),
    ],
)
def test_what_fairseq_would_refuse_is_said_before_it_does(composed, override, words):
    name, _, text = override.lstrip("+").partition("=")
    value = [float(text[1:-1])] if text.startswith("[") else text
    cfg = copy.deepcopy(composed)
    OmegaConf.update(cfg, name, value, force_add=True)
    with pytest.raises(BudgetError, match=words):
        check(cfg)


def test_settings_that_are_right_pass(composed):
    assert told(lambda: 3) == 3
    check(composed)
    assert composed.model.encoder_layers == 2
    assert composed.model.seed == 3
