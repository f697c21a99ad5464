"""Batches: crops, masks, padding, and what they are functions of."""

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.masking import Masking
from tests.synthetic import write_tone, write_tone_corpus

pytestmark = pytest.mark.fairseq


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    folder = tmp_path_factory.mktemp("tones")
    write_tone_corpus(folder, 12, seconds=(0.5, 2.0)).write(folder / "train.tsv")
    return read_text(folder / "train.tsv")


def dataset(corpus, **options):
    from fairseq_budget.data.audio_dataset import BudgetAudioDataset

    options = {"seed": 1, "max_sample_size": 16000, "masking": Masking(0.8, 5), **options}
    return BudgetAudioDataset(corpus, **options)


def batch_of(data, *ids: int):
    return data.collater([data[i] for i in ids])


def wave(batch) -> torch.Tensor:
    from fairseq_budget.data.audio_dataset import wave_from_bits

    return wave_from_bits(batch["net_input"]["source"])


def test_batches_are_cropped_to_their_shortest_utterance(corpus):
    batch = batch_of(dataset(corpus), *range(6))
    shortest = min(corpus.sizes[:6].min(), 16000)
    assert wave(batch).shape == (6, shortest)
    assert batch["net_input"]["num_samples"] is None
    assert batch["audio_seconds"] == pytest.approx(6 * shortest / 16000)


def test_padding_keeps_every_sample_and_says_how_many(corpus):
    batch = batch_of(dataset(corpus, pad_audio=True, max_sample_size=None), *range(6))
    lengths = batch["net_input"]["num_samples"]
    assert lengths.tolist() == corpus.sizes[:6].tolist()
    for row in range(6):
        np.testing.assert_array_equal(wave(batch)[row, : lengths[row]], corpus.read(row))
        assert not wave(batch)[row, lengths[row] :].any()


def test_fp16_training_cannot_touch_the_wave(corpus):
    source = batch_of(dataset(corpus), 0, 1)["net_input"]["source"]
    assert not source.is_floating_point()


def test_a_crop_is_a_piece_of_its_utterance_and_moves_with_the_epoch(corpus):
    data = dataset(corpus, max_sample_size=6000)
    starts = set()
    for epoch in range(1, 6):
        data.set_epoch(epoch)
        piece, whole = data[0]["source"], corpus.read(0)
        windows = np.lib.stride_tricks.sliding_window_view(whole, 6000)
        starts.add(int(np.flatnonzero((windows == piece).all(1))[0]))
    assert len(starts) > 1


def test_masks_and_crops_do_not_depend_on_batch_mates(corpus):
    data = dataset(corpus, max_sample_size=8000)
    together = batch_of(data, 3, 0, 5)["net_input"]
    alone = batch_of(data, 0)["net_input"]
    assert torch.equal(together["source"][1], alone["source"][0])
    assert torch.equal(together["mask_indices"][1], alone["mask_indices"][0])


def test_masks_change_with_seed_epoch_and_utterance(corpus):
    data = dataset(corpus, max_sample_size=8000)
    first = batch_of(data, 0, 1)["net_input"]["mask_indices"]
    data.set_epoch(2)
    later = batch_of(data, 0, 1)["net_input"]["mask_indices"]
    other = batch_of(dataset(corpus, max_sample_size=8000, seed=2), 0, 1)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, later)
    assert not torch.equal(first, other["net_input"]["mask_indices"])


def test_equal_masks_leave_as_many_frames_in_every_utterance_padded_or_not(corpus):
    for pad_audio in (False, True):
        data = dataset(corpus, pad_audio=pad_audio, masking=Masking(0.8, 5, equal=True))
        batch, again = batch_of(data, *range(6)), batch_of(data, *range(6))
        mask = batch["net_input"]["mask_indices"]
        assert torch.equal(mask, again["net_input"]["mask_indices"])
        assert len(set(mask.sum(1).tolist())) == 1
        assert len(batch["net_input"]["masked"]) == mask.sum() > 0


def test_masked_lists_exactly_the_masked_valid_frames(corpus):
    batch = batch_of(dataset(corpus, pad_audio=True), *range(6))
    net_input = batch["net_input"]
    flat = net_input["mask_indices"].flatten()
    assert torch.equal(flat.nonzero()[:, 0], net_input["masked"])
    for row, length in enumerate(num_frames(net_input["num_samples"]).tolist()):
        assert not net_input["mask_indices"][row, length:].any()


@pytest.mark.parametrize("num_workers", [1, 2])
def test_loader_workers_see_the_same_batches_in_every_epoch(corpus, num_workers):
    data = dataset(corpus)

    def epochs(workers: int) -> list[torch.Tensor]:
        loader = DataLoader(
            data, 4, collate_fn=data.collater, num_workers=workers,
            persistent_workers=workers > 0,
        )  # fmt: skip
        found = []
        for epoch in (1, 2, 3):
            data.set_epoch(epoch)
            found += [batch["net_input"][key] for batch in loader for key in ("source", "masked")]
        return found

    for ours, theirs in zip(epochs(0), epochs(num_workers), strict=True):
        assert torch.equal(ours, theirs)


class EveryFrameItsNumber:
    """Labels that say which frame of the whole utterance they belong to."""

    def __init__(self, corpus, rate):
        self.sizes, self.rate = corpus.sizes, rate

    def is_known(self, index):
        return True

    def ids(self, index):
        return np.arange(int(self.sizes[index] / 16000 * self.rate))


@pytest.mark.parametrize("rate", [50, 100])
@pytest.mark.parametrize("pad_audio", [False, True])
def test_labels_follow_the_crop_to_the_frame(corpus, rate, pad_audio):
    labels = EveryFrameItsNumber(corpus, rate)
    data = dataset(corpus, max_sample_size=6000, labels=[labels], pad_audio=pad_audio)
    for epoch in (1, 2, 3):
        data.set_epoch(epoch)
        batch = batch_of(data, 0, 1, 2)
        for row in range(3):
            whole, piece = corpus.read(row), wave(batch)[row].numpy()
            windows = np.lib.stride_tricks.sliding_window_view(whole, len(piece))
            start = int(np.flatnonzero((windows == piece).all(1))[0])
            frames = start / 320 + np.arange(num_frames(len(piece)))
            expected = np.floor(frames * rate / 50) + 4  # after fairseq's four special symbols
            found = batch["net_input"]["labels"][0][row].numpy()
            last = len(labels.ids(row)) + 3
            np.testing.assert_array_equal(found, expected.clip(max=last))


def test_an_utterance_without_labels_is_bad_audio(corpus):
    labels = EveryFrameItsNumber(corpus, 50)
    labels.is_known = lambda index: index != 1
    data = dataset(corpus, labels=[labels])
    assert "bad_audio" not in data[0]
    assert data[1]["id"] != 1
    assert f"{corpus.name(1)}: could not be read when" in data[1]["bad_audio"]


@pytest.mark.parametrize("pad_audio", [False, True])
def test_audio_of_batches_is_what_the_collater_makes_of_them(corpus, pad_audio):
    from fairseq_budget.data.batches import Limits

    data = dataset(corpus, pad_audio=pad_audio)
    batches = data.batches(Limits(max_sentences=5))
    made = [batch_of(data, *batches.batch(place, 1)) for place in range(3)]
    seconds = sum(batch["audio_seconds"] for batch in made)
    per_batch, per_utterance = batches.mean_samples(pad=pad_audio)
    assert per_batch == pytest.approx(seconds * 16000 / 3)
    assert per_utterance == pytest.approx(seconds * 16000 / 12)


def test_short_utterances_are_left_out(corpus):
    from fairseq_budget.data.batches import Limits

    data = dataset(corpus, min_sample_size=16000)
    batches = data.batches(Limits(max_sentences=2))
    heard = [index for place in range(len(batches)) for index in batches.batch(place, 1)]
    assert sorted(heard) == np.flatnonzero(corpus.sizes >= 16000).tolist()
    assert data.num_kept == len(heard)
    assert data.num_samples == corpus.sizes[heard].sum()


def spoil(path, kind):
    if kind == "deleted":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "no audio":
        path.write_bytes(b"nothing")
    elif kind == "other rate":
        write_tone(path, 32000, sample_rate=8000)
    else:
        soundfile.write(path, np.full(40000, np.nan, np.float32), 16000, subtype="FLOAT")


@pytest.mark.parametrize("kind", ["deleted", "truncated", "no audio", "other rate", "nan"])
def test_bad_audio_is_replaced_by_an_utterance_of_like_length_and_named(tmp_path, kind):
    manifest = write_tone_corpus(tmp_path, 30, seconds=(0.5, 2.0), extensions=("wav",))
    manifest.write(tmp_path / "train.tsv")
    corpus = read_text(tmp_path / "train.tsv")
    data = dataset(corpus, max_sample_size=None)
    bad = int(corpus.by_size[15])
    spoil(tmp_path / corpus.name(bad), kind)
    sample = data[bad]
    assert corpus.name(bad) in sample["bad_audio"]
    assert sample["id"] != bad
    length = len(sample["source"])
    assert 0.5 * corpus.sizes[bad] < length <= corpus.sizes[bad]
    np.testing.assert_array_equal(
        sample["source"], corpus.read(sample["id"], sample["start"], length)
    )
    assert data[bad]["id"] == sample["id"]  # not by chance
    batch = batch_of(data, 0, bad, 1)
    assert batch["bad_audio"] == [sample["bad_audio"]]
    assert batch["id"].tolist() == [0, sample["id"], 1]


def test_a_corpus_that_went_away_is_an_error(tmp_path):
    write_tone_corpus(tmp_path, 4).write(tmp_path / "train.tsv")
    data = dataset(read_text(tmp_path / "train.tsv"))
    for path in [*tmp_path.rglob("*.wav"), *tmp_path.rglob("*.flac")]:
        path.unlink()
    with pytest.raises(BudgetError, match="4 utterances in a row are bad audio"):
        data[0]


def test_a_corpus_of_too_short_utterances_is_an_error_with_a_cure(tmp_path):
    write_tone_corpus(tmp_path, 2, seconds=(0.02, 0.024)).write(tmp_path / "train.tsv")
    with pytest.raises(BudgetError, match=r"all 2 utterances .* shorter than 400 .*cut"):
        dataset(read_text(tmp_path / "train.tsv"))


def test_cropped_samples_are_counted_over_all_utterances(corpus):
    limit = int(corpus.sizes.mean())
    data = dataset(corpus, max_sample_size=limit)
    assert data.num_cropped == sum(max(0, int(size) - limit) for size in corpus.sizes) > 0
    assert data.num_cropped == corpus.num_samples - sum(map(data.size, range(len(data))))
    assert dataset(corpus, max_sample_size=None).num_cropped == 0
