from __future__ import annotations

import random
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.upstream.hubconf import budget_logmel, budget_upstream
from fairseq_budget.upstream.options import read_options

LENGTHS = (800, 16000, 9999, 16001, 400, 320 * 30)


def make_waves(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


def make_upstream(kind: str, exported: Path) -> torch.nn.Module:
    upstream = budget_logmel() if kind == "budget_logmel" else budget_upstream(str(exported))
    return upstream.eval()


KINDS = ("budget_upstream", "budget_logmel")


@pytest.mark.parametrize("kind", KINDS)
def test_an_utterance_is_the_same_alone_and_in_a_batch(kind: str, exported: Path) -> None:
    upstream, waves = make_upstream(kind, exported), make_waves()
    rate = upstream.get_downsample_rates("hidden_states")
    with torch.no_grad():
        batch = upstream(waves)["hidden_states"]
        for row, wave in enumerate(waves):
            used = round(len(wave) / rate)  # what s3prl takes of each row
            for together, alone in zip(batch, upstream([wave])["hidden_states"], strict=True):
                torch.testing.assert_close(
                    together[row, :used], alone[0, :used], atol=1e-4, rtol=1e-4
                )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_samples", [1, 399, 400, 800, 16000, 480_000])
def test_every_duration_up_to_30_s_has_all_its_frames(
    kind: str, num_samples: int, exported: Path
) -> None:
    upstream = make_upstream(kind, exported)
    rate = upstream.get_downsample_rates("hidden_states")
    with torch.no_grad():
        output = upstream(make_waves((num_samples,)))
    for state in output["hidden_states"]:
        assert state.shape[1] == -(-max(num_samples, 400) // rate)
        assert state.isfinite().all()
    assert torch.equal(output["last_hidden_state"], output["hidden_states"][-1])


def test_log_mel_keeps_the_level_of_an_utterance() -> None:
    upstream = budget_logmel()
    [soft] = upstream(make_waves((16000,)))["hidden_states"]
    [loud] = upstream([10 * wave for wave in make_waves((16000,))])["hidden_states"]
    assert (loud.mean() - soft.mean()).item() == pytest.approx(2 * 2.302585 / 4, rel=1e-3)


def test_untrained_is_a_function_of_the_seed_and_of_nothing_else(
    exported: Path, tmp_path: Path
) -> None:
    config = tmp_path / "untrained.yaml"
    config.write_text("untrained: 3\n")
    waves = make_waves((4000,))

    def features(model_config: object) -> Tensor:
        with torch.no_grad():
            return budget_upstream(str(exported), model_config).eval()(waves)["last_hidden_state"]

    state = torch.get_rng_state()
    fresh = features(str(config))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(fresh, features({"untrained": 3}))
    assert not torch.allclose(fresh, features({"untrained": 4}))
    assert not torch.allclose(fresh, features(None))


@pytest.mark.parametrize("checkpoint", [None, "nowhere", "notes.txt"])
def test_a_missing_or_foreign_checkpoint_is_an_error(
    checkpoint: str | None, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("not a checkpoint")
    path = None if checkpoint is None else str(tmp_path / checkpoint)
    with pytest.raises(BudgetError, match=r"checkpoint"):
        budget_upstream(path)


@pytest.mark.parametrize(
    "options",
    [
        {"untrianed": 1}, {"untrained": "x"}, [1], "missing.yaml", {"output_subsample": "sum"},
        {"output_subsample": "average", "output_subsample_rate": 0}, {"sequence": "short"},
        {"sequence": "segments", "output_subsample": "average"},
    ],
)  # fmt: skip
def test_an_unknown_option_is_an_error(options: object) -> None:
    with pytest.raises(BudgetError, match=r"^-g"):
        read_options(options)


def test_a_folder_without_segments_is_an_error(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="no manifest there has a"):
        budget_upstream(str(exported), {"segments": str(tmp_path)})


def test_log_mel_refuses_a_checkpoint() -> None:
    with pytest.raises(BudgetError, match="leave -k and -g out"):
        budget_logmel("exported")


@pytest.fixture(scope="module")
def s3prl_nn() -> ModuleType:
    """What a user imports in place of s3prl.nn, and nothing before it."""
    pytest.importorskip("s3prl")
    import fairseq_budget.upstream

    return fairseq_budget.upstream


def extract(
    model: torch.nn.Module, *, seed: int = 0, num: int = 2, min_s: float = 1, max_s: float = 3
) -> list[Tensor]:
    """Hidden states of random waveforms, as s3prl's own tests draw them."""
    generator = random.Random(seed)
    lengths = [generator.randint(round(min_s * 16000), round(max_s * 16000)) for _ in range(num)]
    waves = make_waves(tuple(lengths), seed)
    padded = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True).requires_grad_()
    return list(model(padded, torch.tensor(lengths))[0])


@pytest.mark.s3prl
def test_the_python_blocks_of_the_pages_run(exported: Path) -> None:
    """First of those that need s3prl: nothing has prepared its import."""
    pytest.importorskip("s3prl")
    names: dict[str, Any] = {}
    for page in ("README.md", "docs/guides/start.md"):
        text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
        [block] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        exec(compile(block.replace("demo/tera", str(exported)), page, "exec"), names)
        assert [state.shape for state in names.pop("states")] == [(1, 49, 32)] * 4
    assert names["states_of_second"].shape == (num_frames(9000), 32)
    assert [layer.shape for layer in names["layers"]] == [(1, 50, 32)] * 4


@pytest.mark.s3prl
def test_s3prl_finds_deterministic_layers(s3prl_nn: ModuleType, exported: Path) -> None:
    model = s3prl_nn.S3PRLUpstream("budget_upstream", path_or_url=str(exported)).eval()
    assert model.num_layers == 4
    assert model.hidden_sizes == [32] * 4
    assert model.downsample_rates == [320] * 4
    with torch.no_grad():
        first = extract(model)
        for again in (extract(model), extract(model)):
            for one, other in zip(first, again, strict=True):
                assert torch.equal(one, other)
        assert {len(extract(model, seed=seed)) for seed in (1, 2)} == {4}
    model.train()
    assert {len(extract(model, seed=seed)) for seed in range(1, 6)} == {4}


@pytest.mark.s3prl
@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize(
    ("num", "min_s", "max_s"), [(1, 0.05, 0.05), (2, 0.05, 0.05), (3, 0.05, 1), (2, 1, 3)]
)
def test_gradients_flow_through_every_layer_in_training(
    s3prl_nn: ModuleType, exported: Path, num: int, min_s: float, max_s: float
) -> None:
    with torch.autograd.set_detect_anomaly(True):
        model = s3prl_nn.S3PRLUpstream("budget_upstream", path_or_url=str(exported)).train()
        states = extract(model, num=num, min_s=min_s, max_s=max_s)
        torch.stack([state.sum() for state in states]).sum().backward()
    encoder = model.upstream.encoder
    layers = "encoders" if encoder.config.zipformer else "layers"
    for module in (encoder.feature_extractor, *getattr(encoder.encoder, layers)):
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        assert gradients
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.s3prl
def test_featurizer_takes_our_layers(s3prl_nn: ModuleType, exported: Path) -> None:
    model = s3prl_nn.S3PRLUpstream("budget_upstream", path_or_url=str(exported)).eval()
    featurizer = s3prl_nn.Featurizer(model)
    waves = make_waves((16000, 8000))
    padded = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
    features, lengths = featurizer(*model(padded, torch.tensor([16000, 8000])))
    assert features.shape == (2, 50, 32)
    assert lengths.tolist() == [50, 25]


@pytest.mark.s3prl
def test_log_mel_is_an_upstream_too(s3prl_nn: ModuleType) -> None:
    model = s3prl_nn.S3PRLUpstream("budget_logmel").eval()
    assert (model.num_layers, model.downsample_rates, model.hidden_sizes) == (1, [160], [80])
