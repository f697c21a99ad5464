"""Layers are heard an utterance at a time; rows tell what they hold."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.report import probe_features
from fairseq_budget.report.probe import (
    PHONES,
    SPEAKERS,
    Heard,
    ProbeRow,
    Questions,
    best_layers,
    read_probes,
)
from fairseq_budget.report.probe_features import Layers, encoder_layers, layer_means, open_layers
from fairseq_budget.report.probe_items import Item
from tests.synthetic import write_tone_corpus

HEARD = Heard(0.1, 1, 2)


@pytest.fixture
def corpus(tmp_path):
    write_tone_corpus(tmp_path, 3, seed=5).write(tmp_path / "train.tsv")
    return read_text(tmp_path / "train.tsv")


def item(utterance: int, start: int, stop: int) -> Item:
    return Item(utterance, start, stop, "a", "", is_test=False)


def tiny(subsample: str = "none") -> SpeechEncoder:
    torch.manual_seed(1)
    return SpeechEncoder(EncoderConfig(size="tiny", encoder_layers=1, subsample=subsample)).eval()


def test_layers_are_means_of_the_frames_whose_middle_lies_in_an_item(corpus):
    encoder = tiny()
    items = [item(1, 3200, 6400), item(0, 0, int(corpus.sizes[0]))]
    means = layer_means(encoder_layers(encoder), corpus, items, "")
    for layer, found in enumerate(means):
        part, whole = (encoder(corpus.read(i)).hidden_states[layer][0] for i in (1, 0))
        torch.testing.assert_close(found[0], part[10:20].mean(0))  # 200 + 320 t in [3200, 6400)
        torch.testing.assert_close(found[1], whole.mean(0))


def test_other_items_and_utterances_change_nothing(corpus):
    layers, one = encoder_layers(tiny()), item(2, 1000, 9000)
    alone = layer_means(layers, corpus, [one], "")
    among = layer_means(layers, corpus, [item(0, 0, 16000), one, item(2, 0, 500)], "")
    for first, second in zip(alone, among, strict=True):
        torch.testing.assert_close(first[0], second[1])


def test_segments_are_repeated_over_their_frames(corpus):
    wave = torch.from_numpy(corpus.read(0))
    states = encoder_layers(tiny("average")).states(wave)
    assert [len(state) for state in states] == [num_frames(len(wave))] * 2


def test_only_the_beginning_of_a_long_utterance_is_heard(corpus, monkeypatch):
    monkeypatch.setattr(probe_features, "MAX_SAMPLES", 4000)
    heard = []
    layers = Layers(lambda wave: [heard.append(len(wave)) or torch.zeros(12, 1)], 50)
    layer_means(layers, corpus, [item(0, 0, 4000)], "")
    assert heard == [4000]


def test_a_checkpoint_that_went_wrong_is_told_and_not_scored(corpus):
    time = num_frames(int(corpus.sizes[0]))
    layers = Layers(lambda _: [torch.zeros(time, 1), torch.full((time, 1), torch.nan)], 50)
    with pytest.raises(BudgetError, match=r"mine: layer 1 is not finite.*take an earlier one"):
        layer_means(layers, corpus, [item(0, 0, 4000)], "mine")


def test_log_mel_is_a_layer_of_100_frames_a_second(corpus):
    layers = open_layers("log-mel")
    assert layers.states(torch.zeros(16000))[0].shape == (98, 80)
    assert layers.rate == 100


def separable(corpus) -> tuple[dict[str, list[Item]], Layers]:
    """Two phones of two speakers, and an encoder whose second layer alone tells them apart."""
    items = [
        Item(0, 320 * row, 320 * row + 320, "ae"[row % 2], "xy"[row % 4 // 2], row % 8 > 3)
        for row in range(40)
    ]
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(num_frames(int(corpus.sizes[0])))
    noise = torch.randn(len(time), 2, generator=generator)
    return {PHONES: items}, Layers(lambda _: [noise, torch.eye(2)[time % 2]], 50)


def test_rows_are_of_layers_and_the_best_is_told(corpus):
    items, layers = separable(corpus)
    questions = Questions(items, HEARD, seed=0)
    rows = [questions.chance(), *questions.rows("mine", layers, corpus)]
    assert [(row.checkpoint, row.layer) for row in rows] == [
        ("chance", None), ("mine", 0), ("mine", 1),
    ]  # fmt: skip
    assert rows[0].phones == rows[0].abx_within == rows[0].abx_across == 0.5
    assert rows[2] == ProbeRow(
        checkpoint="mine", layer=1, phones=1.0, abx_within=0.0, abx_across=0.0
    )
    assert rows[1].phones < 0.9
    assert best_layers(rows)[1] == {
        "checkpoint": "mine", "phones, accuracy": "100.0% (1)",
        "ABX error within": "0.0% (1)", "ABX error across": "0.0% (1)",
    }  # fmt: skip
    assert questions.counts()[PHONES] == {"classes": 2, "train": 20, "test": 20}


def test_without_items_there_is_nothing_to_probe():
    with pytest.raises(BudgetError, match="nothing to probe"):
        Questions({PHONES: [], SPEAKERS: []}, HEARD, seed=0)


def test_a_figure_has_a_panel_for_each_checkpoint(corpus, tmp_path, monkeypatch):
    plots = pytest.importorskip("fairseq_budget.report.plots")
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    items, layers = separable(corpus)
    questions = Questions(items, HEARD, seed=0)
    rows = [questions.chance()]
    for name in ("one", "two"):
        rows += questions.rows(name, layers, corpus)
    plots.plot_probes(rows, tmp_path / "x")
    panels = drawn[0].axes
    assert [axes.get_title(loc="left") for axes in panels] == ["one", "two"]
    assert np.shape(panels[0].images[0].get_array()) == (2, 3)
    assert panels[0].images[0].get_array()[1].tolist() == [1, 1, 1]  # the best
    assert len(panels[1].get_xticklabels()) == 3


def write_rows(path, *answers: dict):
    rows = [asdict(ProbeRow(**{"checkpoint": "a", **answer})) for answer in answers]
    path.write_text(json.dumps({"seed": 0, "rows": rows}))
    return path


def test_rows_are_read_as_they_were_written(tmp_path):
    path = write_rows(tmp_path / "probe.json", {"phones": 0.5}, {"phones": 0.75, "layer": 0})
    assert read_probes(path) == [
        ProbeRow(checkpoint="a", phones=0.5), ProbeRow(checkpoint="a", phones=0.75, layer=0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [{"phones": 0.5}],
        [{}, {"layer": 0}],
        [{"phones": 0.5}, {"phones": 0.75}],
        [{"phones": 0.5}, {"words": 0.75, "layer": 0}],
        [{"phones": 0.5}, {"phones": 1.75, "layer": 0}],
    ],
    ids=["no rows", "chance alone", "no answers", "no layer", "other probes", "beyond all"],
)
def test_other_rows_are_refused_by_the_name_of_their_file(tmp_path, answers):
    with pytest.raises(BudgetError, match=r"probe\.json .*budget-report probe"):
        read_probes(write_rows(tmp_path / "probe.json", *answers))
