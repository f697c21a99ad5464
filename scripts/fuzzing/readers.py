"""Every reader of a file that the project writes or takes: one table."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fairseq_budget.audio.archives import list_members, open_bytes
from fairseq_budget.audio.check import inspect
from fairseq_budget.audio.io import read_audio, write_audio
from fairseq_budget.budget.machine import (
    find_machine,
    measured_rows,
    predict,
    read_measurements,
    store_measurements,
)
from fairseq_budget.budget.recipes import read_recipes
from fairseq_budget.budget.timing import Measurement
from fairseq_budget.budget.updates import plan_updates
from fairseq_budget.corpus.column import column_path, write_column
from fairseq_budget.corpus.column_kinds import (
    CENTROIDS_KEY,
    dictionary_path,
    info_path,
    model_path,
)
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.labels import LabelInfo, open_labels, write_dictionary, write_info
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.packed import Packed, open_pack
from fairseq_budget.corpus.packing import pack_split
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.segments import open_segments, write_segments
from fairseq_budget.corpus.symbols import open_symbols, read_vocabulary
from fairseq_budget.corpus.symbols import write_dictionary as write_symbols
from fairseq_budget.demo.corpus import read_phones, read_utterances
from fairseq_budget.downstream import corpus_tables
from fairseq_budget.downstream.comparison import write_results
from fairseq_budget.downstream.layout import Layout, Request, make_layout, read_layout
from fairseq_budget.downstream.recordings import SNIPS_TABLE, read_recordings, snips_texts
from fairseq_budget.downstream.runs import RESULT_FILE, Run, Upstream
from fairseq_budget.downstream.scores import read_score
from fairseq_budget.downstream.sweep import Cell
from fairseq_budget.downstream.tasks import TASKS
from fairseq_budget.errors import BudgetError
from fairseq_budget.forecast.law import Law
from fairseq_budget.forecast.planned import (
    Forecast,
    PlannedRow,
    Recommended,
    read_forecast,
    write_forecast,
)
from fairseq_budget.forecast.points import Point, read_points, write_points
from fairseq_budget.forecast.schedule import Stage, expected_at
from fairseq_budget.frames import SAMPLE_RATE, num_frames
from fairseq_budget.labels.features import Feature
from fairseq_budget.labels.jobs import load_frames, read_rows
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.labelling import load_model
from fairseq_budget.labels.parts import Parts
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.zipformer.encoder import ZipformerEncoder
from fairseq_budget.prepare.imported import Imported
from fairseq_budget.prepare.kaldi_folder import read_kaldi
from fairseq_budget.prepare.lhotse_cuts import read_lhotse
from fairseq_budget.pretrained.averaging import read_running_mean
from fairseq_budget.pretrained.fairseq_checkpoint import read_teacher
from fairseq_budget.pretrained.k2ssl_checkpoint import read_k2ssl, write_k2ssl
from fairseq_budget.pretrained.portable import (
    CONFIG_FILE,
    ENCODER_PREFIX,
    MODEL_FILE,
    Pretrained,
    load_pretrained,
    read_pretrained,
    save_pretrained,
)
from fairseq_budget.pretrained.vocabulary import Vocabulary
from fairseq_budget.report.curve import read_run
from fairseq_budget.report.probe import ProbeRow, asked, read_probes
from fairseq_budget.report.scored import read_scored
from fairseq_budget.report.training_log import read_training_log
from fairseq_budget.run.record import Batch, Record, read_record, write_record
from fairseq_budget.segmentation.intervals import table_spans
from fairseq_budget.segmentation.textgrid import read_tier
from fairseq_budget.segmentation.wav2vecu import unit_ends
from fairseq_budget.sizes import ZipformerSize
from fairseq_budget.text.alignments import Alignments
from fairseq_budget.text.transcripts import read_phones as read_phone_rows
from fairseq_budget.text.transcripts import read_transcripts
from fairseq_budget.text.word_pieces import decode, pieces, train_word_pieces, vocabulary
from fairseq_budget.upstream.options import read_options
from fairseq_budget.upstream.scalars import SCALARS_FILE
from fuzzing.codecs import DIGEST, GZIP, JSON, JSON_LINES, PACK, SAFETENSORS, TORCH
from fuzzing.reader import Reader

LONGEST = 10**12  # samples: two years
SIZES = (3200, 4000, 5600)
TEXTS = ("the dog", "", "zwölf cats")


def _require(is_so: bool, what: object) -> None:
    if not is_so:
        raise AssertionError(f"read as {what!r:.200}")


# Manifests, columns and packs


def _noise(folder: Path, name: str, size: int) -> None:
    samples = np.random.default_rng(size).uniform(-0.5, 0.5, size).astype(np.float32)
    write_audio(folder / name, samples, SAMPLE_RATE)


def _corpus(folder: Path) -> Path:
    names = [f"{index}.wav" for index in range(len(SIZES))]
    for name, size in zip(names, SIZES, strict=True):
        _noise(folder, name, size)
    own = (Utterance((Piece(n),), s) for n, s in zip(names[:2], SIZES, strict=False))
    joined = Utterance((Piece("2.wav", 100, 5000), Piece("0.wav", 0, 600)), SIZES[2])
    Manifest(folder, [*own, joined]).write(folder / "train.tsv")
    return folder / "train.tsv"


def _utterances(corpus: Corpus) -> list[tuple[str, int]]:
    own = zip(map(corpus.utterance, range(len(corpus))), corpus.sizes.tolist(), strict=True)
    _require(all(u.num_samples == size for u, size in own), "another size")
    return [(corpus.name(index), size) for index, size in enumerate(corpus.sizes.tolist())]


def _read_manifest(path: Path) -> Any:
    manifest, corpus = Manifest.read(path), read_text(path)
    _require(manifest.hash == corpus.hash, "a manifest of two hashes")
    return str(corpus.root), _utterances(corpus), manifest.summary(), corpus.num_samples


def _check_utterances(content: Any) -> None:
    rows = content[1]
    _require(all(name and "\0" not in name for name, _ in rows), rows)
    _require(all(0 < size <= LONGEST for _, size in rows), rows)
    _require(content[-1] == sum(size for _, size in rows), content[-1])


def _text(folder: Path) -> Path:
    return write_column(_corpus(folder), "txt", TEXTS, None, more={"by": "hand"})


def _read_text(path: Path) -> Any:
    column = read_text(path.with_suffix(".tsv")).open_column("txt")
    return [column[index] for index in range(len(column))], column.rate


def _check_rate(content: Any) -> None:
    _require(content[-1] is None or 0 < content[-1] < 1e6, content)


def _beside(make: Callable[[Path], Path], name: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """As `make`, but another of its files is the one that is changed."""
    return lambda folder: name(make(folder))


def _described(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _of_description(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    return lambda path: read(path.with_suffix(""))


def _labels(folder: Path) -> Path:
    manifest = _corpus(folder)
    lines = [" ".join(str(i % 8) for i in range(size // 160)) for size in SIZES]
    write_dictionary(folder, 8)
    write_info(folder, LabelInfo(100, 8, {"kind": "mfcc"}, "0" * 64))
    return write_column(manifest, "km", lines, 100, more={CENTROIDS_KEY: "0" * 64})


def _read_labels(path: Path) -> Any:
    labels = open_labels(path.parent, "train")
    corpus = read_text(path.parent / "train.tsv")
    rows = [labels.check_line(i, size).tolist() for i, size in enumerate(corpus.sizes.tolist())]
    return rows, labels.num_clusters, labels.rate


def _check_labels(content: Any) -> None:
    rows, num_clusters, _ = content
    _require(all(0 <= label < num_clusters for row in rows for label in row), rows)
    _check_rate(content)


def _segments(folder: Path) -> Path:
    lines = [[3, num_frames(size)] for size in SIZES]
    return write_segments(_corpus(folder), lines, kind="hand")


def _read_segments(path: Path) -> Any:
    segments = open_segments(path.parent, "train")
    return [segments.ends(index).tolist() for index in range(len(segments))]


def _pack(folder: Path) -> Path:
    manifest = column_path(_labels(folder), "tsv")
    write_column(manifest, "txt", TEXTS, None)
    return pack_split(manifest, progress=False)


def _read_pack(path: Path) -> Any:
    corpus = open_pack(path, ["txt", "km"])
    columns = [[column[i] for i in range(len(corpus))] for column in corpus.columns.values()]
    order = corpus.by_size.tolist()
    checked = list(corpus.source.utterances_to_check())
    return str(corpus.root), _utterances(corpus), columns, order, checked, corpus.num_samples


def _read_whole_pack(path: Path) -> Any:
    Packed(path).pack.check()
    return _read_pack(path)


# Text of other programs: times, words, symbols

_LONG_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.7
            mark = "!"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = ""
        intervals [2]:
            xmin = 0.25
            xmax = 1.5
            text = "s"
"""
_SHORT_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
1
"IntervalTier"
"phones"
0
1.5
2
0
0.25
""
0.25
1.5
"s"
"""


def _file(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return make


def _check_spans(spans: Iterable[tuple[float, float, str]]) -> None:
    end = 0.0
    for start, stop, _ in spans:
        _require(math.isfinite(start) and math.isfinite(stop), (start, stop))
        _require(end - 1e-3 <= start <= stop, (end, start, stop))
        end = stop


def _read_alignments(path: Path) -> Any:
    whole = Alignments.read(path)
    manifest = Manifest(path.parent, [Utterance((Piece("0.wav"),), SIZES[0])])
    found = whole.phones_at(manifest.utterances[0], np.arange(0, SIZES[0], 160))
    return found.tolist(), read_phone_rows(path, manifest), table_spans(path)("0.wav")


def _rows_of(name: str, lines: Sequence[str]) -> Callable[[Path], Path]:
    """A file of lines beside a manifest."""

    def make(folder: Path) -> Path:
        _corpus(folder)
        return _file(name, "".join(f"{line}\n" for line in lines))(folder)

    return make


def _read_words(path: Path) -> Any:
    manifest = Manifest.read(path.parent / "train.tsv")
    whole = replace(manifest, utterances=manifest.utterances[:2])
    is_table = path.suffix != ".wrd" and path.suffix != ".ltr"
    place = path.parent if path.name.endswith(".trans.txt") else path
    return read_transcripts(place, whole if is_table else manifest)


_phones = _rows_of(
    "phones.tsv", ("utterance_id\tstart_s\tend_s\tphone", "0\t0.0\t0.1\tsil", "0\t0.1\t0.2\tə")
)
_table = _rows_of(
    "utterances.tsv",
    (
        "id\tpath\tsplit\tkind\tspeaker\ttranscript\taction\tobject\tlocation\tnum_samples",
        "0\t0.wav\ttrain\tcommand\tann\ton now\ton\t\t\t3200",
        "1\t1.wav\ttrain\tcommand\tbob\toff\toff\t\t\t4000",
    ),
)


def _read_recordings(path: Path) -> Any:
    found = read_recordings(path.parent, "{label}")
    return [(str(row.path), row.fields) for row in found]


def _check_recordings(content: Any) -> None:
    values = [value for _, fields in content for pair in fields.items() for value in pair]
    _require(all(isinstance(value, str) for value in values), values)


def _check_demo(content: Any) -> None:
    _require(all(row.num_samples > 0 for row in content), content)


def _check_demo_phones(content: Any) -> None:
    _require(all(0 <= row.start_s <= row.end_s < math.inf for row in content), content)


def _read_symbols(path: Path) -> Any:
    corpus = read_text(path.parent / "train.tsv")
    rows = open_symbols(corpus, "ltr")
    return [rows[index] for index in range(len(corpus))]


def _dictionary(folder: Path) -> Path:
    write_symbols(folder, "ltr", ["t h e | d o g |", "t e n |"])
    return folder / "dict.ltr.txt"


def _check_symbols(symbols: Any) -> None:
    _require(len(set(symbols)) == len(symbols) > 4, symbols)
    _require(all(symbol and len(symbol.split()) == 1 for symbol in symbols), symbols)


def _word_pieces(folder: Path) -> Path:
    train_word_pieces(["the dog and the cat", "ten dogs", "a cat"], 20, folder / "bpe.model")
    return folder / "bpe.model"


def _read_word_pieces(path: Path) -> Any:
    known = vocabulary(path)
    return known, pieces(path, ["the dogs"]), decode(path, [[3, 4]])


def _units(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        _corpus(folder)
        units = [" ".join("1" for _ in range(round(size / 960))) for size in SIZES]
        _file("train.units", "".join(f"{line}\n" for line in units))(folder)
        _file("train.vads", f"0:{SIZES[0]}\n\n0:1000 1200:5600\n")(folder)
        return folder / name

    return make


def _read_units(path: Path) -> Any:
    folder = path.parent
    corpus = read_text(folder / "train.tsv")
    return [e.tolist() for e in unit_ends(corpus, folder / "train.units", folder / "train.vads")]


# Labels' work, budgets and results


def _centroids(folder: Path) -> Path:
    centroids = np.random.default_rng(0).standard_normal((4, 39)).astype(np.float32)
    made = {"feature": Feature().description, "rate": 100, "teacher_sha256": None, "seed": 0}
    KMeans(centroids, made).save(model_path(folder, "km"))
    return model_path(folder, "km")


def _read_centroids(path: Path) -> Any:
    model = load_model(path.parent, Feature())
    if b"sha256" not in path.read_bytes().replace(b"teacher_sha256", b""):
        raise BudgetError("as an older version wrote it: nothing guards it")
    frames = np.ones((2, 39), np.float32)
    return model.centroids.tolist(), model.assign(frames).tolist(), model.description["rate"]


def _check_centroids(content: Any) -> None:
    _require(bool(np.isfinite(content[0]).all()), content[0])
    _require(np.ndim(content[0]) == 2, content[0])
    _check_rate(content)


def _part(content: Callable[[Parts], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        parts = Parts(folder, "task", {})
        content(parts)
        return parts.path(0)

    return make


def _write_frames(parts: Parts) -> None:
    content = io.BytesIO()
    np.save(content, np.ones((5, 39), np.float32))
    parts.write(0, content.getvalue())


def _parts_of(path: Path) -> Parts:
    return Parts(path.parents[3], "task", {})


def _read_frames(path: Path) -> Any:
    frames = load_frames(_parts_of(path), 0)
    _require(frames.dtype == np.float32 and frames.ndim == 2, (frames.dtype, frames.shape))
    return frames.tolist()


_LOG = """{"task": {"valid": "epoch"}}
epoch 001:     10 / 44 loss=0.8798, wps=88, num_updates=10, lr=0.000166667, audio_hours=0.043
epoch 001 | valid on 'valid' subset | loss 0.7703 | wps 539.2 | num_updates 10 | best_loss 0.77
{"epoch": 1, "update": 0.4, "loss": "0.7", "num_updates": "20", "lr": "1e-05", "name": "x"}
{"epoch": 1, "valid_loss": "0.77", "valid_num_updates": "20", "valid_best_loss": 0.77}
"""


def _read_log(path: Path) -> Any:
    log = read_training_log(path)
    return [[sorted(record.items()) for record in records] for records in (log.train, log.valid)]


def _check_log(content: Any) -> None:
    for records in content:
        updates = [dict(record)["num_updates"] for record in records]
        _require(all(0 <= u < 2**53 and u == int(u) for u in updates), updates)


def _measurements(folder: Path) -> Path:
    os.environ["XDG_CACHE_HOME"] = str(folder)
    found = Measurement("slim", "fp32", 84.0, 14.0, update_s=0.5, peak_bytes=10 * 2**30)
    return store_measurements("a machine", {"fp32": 1e12}, [found])


def _read_measurements(path: Path) -> Any:
    os.environ["XDG_CACHE_HOME"] = str(path.parents[1])
    plan = plan_updates("slim", flops=1e18, gpus=1, seconds_per_gpu=60, sequence_s=14, hours=None)
    machines = []
    for name in read_measurements():
        known = find_machine(name)
        assert known is not None
        machines.append((name, measured_rows(name, ["slim"]), predict(known[1], plan, 60)))
    return machines


def _check_measurements(content: Any) -> None:
    for _, rows, prediction in content:
        values = [value for row in (*rows, prediction) for value in asdict(row).values()]
        numbers = [value for value in values if isinstance(value, int | float)]
        _require(all(0 <= value < math.inf for value in numbers), content)


_RECIPES = json.dumps(
    {"a": {"size": "slim:2", "sequence_s": 5.0}, "b": {"objective": "hubert", "gpus": 2}}
)


def _read_recipes(path: Path) -> Any:
    return {name: asdict(recipe) for name, recipe in read_recipes(path).items()}


def _layout(folder: Path) -> Path:
    for label in ("off", "on"):
        for speaker in ("ann", "bob"):
            for take in range(3):
                _noise(folder / "audio", f"{label}_{speaker}_{take}.wav", SIZES[0] + take)
    request = Request("ic", str(folder / "audio"), label="label", test="take=0", valid="take=1")
    make_layout(request, folder / "layout")
    return folder / "layout" / "layout.json"


def _read_layout(path: Path) -> Any:
    layout = read_layout(path.parent)
    return layout, layout.command(["-p", "x"])


def _check_layout(content: Any) -> None:
    layout = content[0]
    counts = layout.num_utterances
    splits = set() if layout.request.official else {"train", "valid", "test"}
    _require(splits == counts.keys(), counts)
    _require(all(0 <= count <= 2**32 for count in counts.values()), counts)
    _require(all(isinstance(v, str) for pair in layout.classes.items() for v in pair), layout)


def _of_each(folder: Path, names: Iterable[str], text: str) -> Path:
    """Tables of the same content; the last one is changed."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path


def _intents(folder: Path) -> Path:
    names = [f"data/{split}_data.csv" for split in ("train", "valid", "test")]
    return _of_each(folder, names, "path,action,object,location\na.wav,switch on,lights,none\n")


def _emotions(folder: Path) -> Path:
    parts = [(fold, part) for fold in range(1, 6) for part in ("train", "test")]
    names = [f"meta_data/Session{fold}/{part}_meta_data.json" for fold, part in parts]
    row = {"path": "a.wav", "label": "neu", "speaker": "ann"}
    return _of_each(folder, names, json.dumps({"labels": {"neu": 0}, "meta_data": [row]}))


def _conversations(folder: Path) -> Path:
    for name, text in {
        "wav.scp": "m a.wav\n",
        "reco2dur": "m 2.5\n",
        "utt2spk": "ann-m ann\nbob-m bob\n",
        "segments": "ann-m m 0 1.5\nbob-m m 1.25 2.5\n",
    }.items():
        path = _of_each(folder, [f"{split}/{name}" for split in ("train", "dev", "test")], text)
    return path


def _results(folder: Path) -> Path:
    _checkpoint(folder).rename(folder / "checkpoint_last.pt")
    _file("train.log", _LOG)(folder)
    layout = Layout(folder, Request("ic", "audio"), {"train": 2, "valid": 1, "test": 1}, {}, 0)
    own = {"upstream": "a", "update": 5, "valid": 0.5, "test": 0.75, "key": {"command": "s3prl"}}
    runs = [{**own, "seed": seed, "layer_weights": [0.25, 0.75]} for seed in (0, 1)]
    write_results(folder / "results.json", layout, runs)
    return folder / "results.json"


def _read_results(path: Path) -> Any:
    return read_run(path.parent).row()


def _check_results(row: Any) -> None:
    scores = [value for name, value in row.items() if "accuracy" in name]
    _require(len(scores) == 1 and 0 <= scores[0] <= 100, scores)


def _superb(folder: Path) -> Path:
    made: Any = (50.0, None, 75.0, 1e-2, 1, 5, "cac2fa7bde5f", "s3prl", (0.25, 0.75), {})
    cells = [asdict(Cell(task, "a", "accuracy", *made)) for task in ("ic", "sid")]
    return _file("superb.json", json.dumps(cells))(folder)


def _read_scored(path: Path) -> Any:
    return [asdict(score) for score in read_scored(path)]


def _check_scored(content: Any) -> None:
    shares = [share for score in content for share in score["layer_weights"] or ()]
    _require(all(0 <= share <= 1 for share in shares), content)


def _probes(folder: Path) -> Path:
    answers: list[dict[str, Any]] = [{"phones": 0.5, "abx_within": 0.5}]
    answers += [{"phones": 0.75, "abx_within": 0.25, "layer": layer} for layer in (0, 1)]
    rows = [asdict(ProbeRow(checkpoint="a", **answer)) for answer in answers]
    return _file("probe.json", json.dumps({"seed": 0, "rows": rows}))(folder)


def _check_probes(rows: Any) -> None:
    answers = [getattr(row, name) for row in rows for name in asked(rows[0])]
    _require(len(rows) > 1 and all(0 <= answer <= 1 for answer in answers), rows)


_POINT = Point(
    name="a",
    objective="tera",
    parameters=1000,
    frames=1e6,
    unique_frames=1e5,
    flops=1e12,
    valid_loss=2.0,
    seed=1,
    conditions="task.mask_prob=0.8",
    validations=[[0.5, 2.5], [1.0, 2.0]],
    scores={"ic accuracy": 75.0},
)


def _points(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_points(folder / name, [_POINT, replace(_POINT, name="b", flops=2e12)])
        return folder / name

    return make


def _read_points(path: Path) -> Any:
    return [asdict(point) for point in read_points([path])]


def _check_points(points: Any) -> None:
    for point in points:
        numbers = [point[name] for name in ("parameters", "frames", "flops", "valid_loss")]
        numbers += [number for pair in point["validations"] for number in pair]
        _require(all(0 < number < math.inf for number in numbers), point)
        _require(all(map(math.isfinite, point["scores"].values())), point)


def _forecast(folder: Path) -> Path:
    row = PlannedRow(
        size="tiny", parameters=1000, frames=1e6, audio_hours=5.0, loss=2.0, low=1.9, high=2.1
    )
    stages = [Stage(0.5, 1.5, 1.4, 1.6), Stage(1.0, 1.0, 1.0, 1.0)]
    law = Law(1.7, 400.0, 0.34, 2000.0, 0.37)
    best = Recommended("tiny", 1.0, 1000, 1000)
    made = Forecast("tera", "", 1e15, law, 0.01, 9, 0, [row], best, stages)
    write_forecast(folder / "forecast.json", made)
    return folder / "forecast.json"


def _read_forecast(path: Path) -> Any:
    found = read_forecast(path)
    ends = [row.expected for row in found.rows if row.expected]
    return asdict(found), [expected_at(end, found.stages, 0.75) for end in ends]


def _check_forecast(content: Any) -> None:
    for expected in filter(None, content[1]):
        _require(0 < expected.low <= expected.loss <= expected.high < math.inf, expected)


class _NoRunner:
    def run(self, *_: object) -> int:
        raise BudgetError("trained anew")


def _run_of(folder: Path) -> Run:
    layout = Layout(folder, Request("ic", "audio"), {"train": 2, "valid": 1, "test": 1}, {}, 0)
    return Run(layout, Upstream("a"), 0, folder)


def _result(folder: Path) -> Path:
    stored = {
        "task": "ic",
        "upstream": "a",
        "seed": 0,
        "update": 5,
        "valid": 0.5,
        "test": 0.75,
        "wall_s": 1.0,
    }
    stored["key"] = json.loads(json.dumps(_run_of(folder).key()))
    (folder / RESULT_FILE).write_text(json.dumps(stored, indent=1))
    return folder / RESULT_FILE


def _read_result(path: Path) -> Any:
    return _run_of(path.parent).result(_NoRunner())  # type: ignore[arg-type]


def _check_score(result: Any) -> None:
    _require(all(0 <= result[name] <= 1 for name in ("valid", "test")), result)
    _require(isinstance(result["update"], int) and result["upstream"] == "a", result)


_SCALARS = "".join(
    f"fluent_commands/{split}-acc\t{update}\t{0.1 * update:.1f}\n"
    for update in (5, 9)
    for split in ("dev", "test")
)
_OPTIONS = "output_subsample: average\noutput_subsample_rate: 3\ncache_gib: 0.5\nsegments_name: x\n"


def _record(folder: Path) -> Path:
    batch = Batch(1, [0, 1], ["a.wav", "b.wav"])
    return write_record(folder, Record(7, "the loss is NaN", "train", [batch]))


# Checkpoints, exports, archives and audio


def _pretrained() -> Pretrained:
    torch.manual_seed(0)
    config = EncoderConfig(size="tiny", encoder_layers=1)
    weights = SpeechEncoder(config).state_dict()
    state = {f"encoder.{name}": value.half() for name, value in weights.items()}
    words = Vocabulary(["<s>", "<pad>", "</s>", "<unk>", "|", "a"])
    return Pretrained("budget_ctc", config, asdict(config), state, {"num_updates": 7}, words)


def _export(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        save_pretrained(folder, _pretrained())
        return folder / name

    return make


def _weights(state: dict[str, Any]) -> Any:
    return [(name, str(value.dtype), value.float().sum().item()) for name, value in state.items()]


def _read_export(path: Path) -> Any:
    found = read_pretrained(path.parent)
    load_pretrained(path.parent)
    return found.model, asdict(found.encoder.resolved()), _weights(found.state), found.vocabulary


def _check_export(content: Any) -> None:
    words = content[-1]
    if words is not None:
        _require(0 <= words.blank < len(words.symbols), words)
        _require(len(set(words.symbols)) == len(words.symbols), words)
    _require(str(content[0]).startswith("budget_"), content[0])


def _checkpoint(folder: Path) -> Path:
    made, section = _pretrained(), {"_name": "x", "max_update": 9}
    assert made.vocabulary is not None
    model = {**made.model_config, "_name": made.model}
    saved = {
        "model": made.state,
        "cfg": {"model": model, "task": section, "optimization": section, "criterion": section},
        "optimizer_history": [{"num_updates": 3}],
        "task_state": {
            **{"audio_hours": 1.0, "flops": 1.0, "weights_count": 2},
            **made.vocabulary.state_dict(),
            "weights_mean": {"encoder.x": torch.zeros(3)},
        },
    }
    torch.save(saved, folder / "checkpoint_1_3.pt")
    return folder / "checkpoint_1_3.pt"


def _read_checkpoint(path: Path) -> Any:
    found, mean = read_pretrained(path), read_running_mean(path)
    load_pretrained(path)
    told = {k: found.provenance[k] for k in ("num_updates", "audio_hours", "flops")}
    means = _weights(mean.mean), mean.count
    return found.model, asdict(found.encoder), _weights(found.state), told, means, found.vocabulary


def _fairseq(is_zip: bool) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        model = {"_name": "hubert", "encoder_attention_heads": 2, "layer_norm_first": False}
        weights = {k.removeprefix(ENCODER_PREFIX): v for k, v in _pretrained().state.items()}
        saved = {"model": weights, "cfg": {"model": model, "task": {"normalize": True}}}
        torch.save(saved, folder / "hubert.pt", _use_new_zipfile_serialization=is_zip)
        return folder / "hubert.pt"

    return make


def _read_fairseq(path: Path) -> Any:
    found = read_teacher(path)
    return found.model, asdict(found.encoder), _weights(found.state)


_TWO_STACKS = ZipformerSize(
    encoder_layers=(1, 2),
    encoder_embed_dim=(12, 16),
    encoder_ffn_embed_dim=(16, 32),
    unmasked_dim=(12, 16),
    encoder_attention_heads=(2, 3),
    conv_kernel=(5, 3),
    downsampling=(1, 4),
    query_head_dim=5,
    pos_dim=8,
    conv_dim=20,
)


def _k2ssl(folder: Path) -> Path:
    encoder = ZipformerEncoder(_TWO_STACKS).state_dict()
    state = {f"{ENCODER_PREFIX}encoder.{name}": value for name, value in encoder.items()}
    state[f"{ENCODER_PREFIX}layer_norm.weight"] = torch.ones(20)
    write_k2ssl(folder / "epoch-1.pt", state)
    return folder / "epoch-1.pt"


def _read_k2ssl(path: Path) -> Any:
    size, state = read_k2ssl(path)
    return size, _weights(state)


def _zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("é/one.wav", bytes(100))
        archive.writestr("two.wav", b"two" * 50)
    return folder / "a.zip"


def _tar(folder: Path) -> Path:
    for name, size in (("one.wav", 700), ("x" * 120 + ".wav", 300)):
        (folder / name).write_bytes(bytes(size))
    with tarfile.open(folder / "a.tar", "w") as archive:
        for path in sorted(folder.glob("*.wav")):
            archive.add(path, path.name)
    return folder / "a.tar"


def _read_archive(path: Path) -> Any:
    found = list_members(path)
    for member in found:
        with open_bytes(f"{path}:{member.offset}:{member.length}") as file:
            _require(len(file.read()) == member.length, member)
    return found


def _check_members(members: Any) -> None:
    for name, offset, length in members:
        _require(bool(name) and "\0" not in name and offset > 0 and length >= 0, name)


def _audio(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import soundfile

        samples = np.random.default_rng(0).uniform(-0.5, 0.5, 4800).astype(np.float32)
        if name.endswith((".wav", ".flac")):
            write_audio(folder / name, samples, SAMPLE_RATE)
        else:
            kind = {"sph": "NIST"}.get(name.rpartition(".")[2], name.rpartition(".")[2].upper())
            soundfile.write(folder / name, samples, SAMPLE_RATE, format=kind)
        return folder / name

    return make


def _read_audio(path: Path) -> Any:
    if reason := inspect(path, full=True):
        raise BudgetError(reason)
    return read_audio(path).tolist()


def _check_audio(samples: Any) -> None:
    _require(all(-1 <= sample <= 1 for sample in samples), samples)


# Folders of other toolkits


def _kaldi(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        _corpus(folder)
        _file("wav.scp", "r0 0.wav\nr1 1.wav\nr2 2.wav\n")(folder)
        _file("text", "u0 the dog\nu2 zwölf\n")(folder)
        _file("segments", "u0 r0 0 0.1\nu1 r1 0.05 -1\nu2 r2 0.1 0.3\n")(folder)
        return folder / name

    return make


def _imported(rows: Iterable[Imported]) -> Any:
    found = list(rows)
    own = [(row.utterance.name, row.utterance.num_samples) for row in found]
    return [(row.text, row.labels) for row in found], own, sum(size for _, size in own)


def _read_kaldi(path: Path) -> Any:
    return _imported(read_kaldi(path.parent, path.parent))


def _cuts(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        _corpus(folder)
        cuts = []
        for index, size in enumerate(SIZES):
            source = {"type": "file", "channels": [0], "source": f"{index}.wav"}
            recording = {"id": f"r{index}", "sources": [source], "sampling_rate": SAMPLE_RATE,
                         "num_samples": size, "duration": size / SAMPLE_RATE}  # fmt: skip
            cuts.append(
                {"id": f"c{index}", "start": 0.05, "duration": 0.1, "channel": 0,
                 "supervisions": [{"id": "s", "text": "the dog"}], "recording": recording,
                 "custom": {"kmeans": "1 2 3"}, "type": "MonoCut"}
            )  # fmt: skip
        content = b"".join(json.dumps(cut).encode() + b"\n" for cut in cuts)
        (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        return folder / name

    return make


def _read_cuts(path: Path) -> Any:
    return _imported(read_lhotse(path, path.parent))


def _check_imported(content: Any) -> None:
    _check_utterances(content)
    texts = [text for pair in content[0] for text in pair]
    _require(all(text is None or "\n" not in text for text in texts), texts)


_LTR = ("t h e | d o g |", "", "t e n |")
_OF_PARTS = (BudgetError, FileNotFoundError)  # a part that is not there is made again

READERS = (
    Reader("manifest", _corpus, _read_manifest, _check_utterances),
    Reader("column of text", _text, _read_text, is_guarded=True),
    Reader(
        "its description", _beside(_text, _described), _of_description(_read_text),
        _check_rate, codec=JSON,
    ),
    Reader("labels", _labels, _read_labels, is_guarded=True),
    Reader(
        "their description", _beside(_labels, _described), _of_description(_read_labels),
        _check_labels, codec=JSON,
    ),
    Reader(
        "dictionary of labels", _beside(_labels, lambda p: dictionary_path(p.parent, "km")),
        _read_labels, is_guarded=True,
    ),
    Reader(
        "labels.json", _beside(_labels, lambda p: info_path(p.parent, "km")), _read_labels,
        _check_labels, codec=JSON,
    ),
    Reader("segments", _segments, _read_segments, is_guarded=True),
    Reader(
        "description of segments", _beside(_segments, _described),
        _of_description(_read_segments), codec=JSON,
    ),
    Reader("pack, checked", _pack, _read_whole_pack, is_guarded=True),
    Reader("pack", _pack, _read_pack, codec=PACK),
    Reader("TextGrid, long", _file("a.TextGrid", _LONG_GRID), lambda p: read_tier(p, "phones"),
           _check_spans),
    Reader("TextGrid, short", _file("a.TextGrid", _SHORT_GRID), lambda p: read_tier(p, "phones"),
           _check_spans),
    Reader("alignments", _phones, _read_alignments, lambda found: _check_spans(found[2])),
    Reader("transcripts, words", _rows_of("train.wrd", TEXTS), _read_words),
    Reader("transcripts, letters", _rows_of("train.ltr", _LTR), _read_words),
    Reader("transcripts, table", _table, _read_words),
    Reader("transcripts, LibriSpeech's", _rows_of("1-2.trans.txt", ("0 THE DOG", "1 TEN")),
           _read_words),
    Reader("symbols", _rows_of("train.ltr", _LTR), _read_symbols),
    Reader("dictionary", _dictionary, lambda p: read_vocabulary(p.parent, "ltr").symbols,
           _check_symbols),
    Reader("word pieces", _word_pieces, _read_word_pieces),
    Reader("wav2vec-U's units", _units("train.units"), _read_units),
    Reader("wav2vec-U's intervals", _units("train.vads"), _read_units),
    Reader("centroids", _centroids, _read_centroids, _check_centroids, True, SAFETENSORS),
    Reader("part of features", _part(_write_frames), _read_frames, is_guarded=True,
           named=_OF_PARTS),
    Reader("part of features, signed", _part(_write_frames), _read_frames, shell=DIGEST,
           named=_OF_PARTS),
    Reader("part of labels", _part(lambda parts: parts.write(0, b"1 2\n\n3\n")),
           lambda p: list(read_rows(_parts_of(p), 1)), is_guarded=True, named=_OF_PARTS),
    Reader("training log", _file("train.log", _LOG), _read_log, _check_log),
    Reader("measurements.json", _measurements, _read_measurements, _check_measurements,
           codec=JSON),
    Reader("recipes", _file("recipes.json", _RECIPES), _read_recipes, codec=JSON),
    Reader("results.json", _results, _read_results, _check_results, codec=JSON),
    Reader("results.json, in HTML", _results, _read_scored, _check_scored, codec=JSON),
    Reader("superb.json", _superb, _read_scored, _check_scored, codec=JSON),
    Reader("probe.json", _probes, read_probes, _check_probes, codec=JSON),
    Reader("points, table", _points("points.tsv"), _read_points, _check_points),
    Reader("points", _points("points.json"), _read_points, _check_points, codec=JSON),
    Reader("forecast.json", _forecast, _read_forecast, _check_forecast, codec=JSON),
    Reader("result.json", _result, _read_result, _check_score, codec=JSON),
    Reader("s3prl's scalars", _file(SCALARS_FILE, _SCALARS),
           lambda p: asdict(read_score(p.parent, TASKS["ic"])),
           lambda score: _check_score({**score, "upstream": "a"})),
    Reader("record of an update", _record, lambda p: asdict(read_record(p)), codec=JSON),
    Reader("layout.json", _layout, _read_layout, _check_layout, codec=JSON),
    Reader("Fluent's table", _intents, lambda p: corpus_tables.intents(p.parents[1])),
    Reader("IEMOCAP's table", _emotions, lambda p: corpus_tables.emotions(p.parents[2]),
           codec=JSON),
    Reader("LibriMix's table", _conversations,
           lambda p: corpus_tables.conversations(p.parents[1])),
    Reader("VoxCeleb1's splits", _file(corpus_tables.SPEAKERS, "1 a/1\n2 a/2\n3 b/1\n"),
           lambda p: corpus_tables.speakers(p.parent)),
    Reader("VoxCeleb1's trials", _file(corpus_tables.TRIALS, "1 a/1 a/2\n0 a/1 b/1\n"),
           lambda p: corpus_tables.trials(p.parent)),
    Reader("SNIPS's table", _file(SNIPS_TABLE, "a-1 BOS play jazz EOS\tO O B-genre O\n"),
           lambda p: snips_texts(p.parent)),
    Reader("options", _file("options.yaml", _OPTIONS), read_options),
    Reader("recordings", _table, _read_recordings, _check_recordings),
    Reader("demo's utterances", _table, lambda p: read_utterances(p.parent), _check_demo),
    Reader("demo's phones", _phones, lambda p: read_phones(p.parent), _check_demo_phones),
    Reader("export's config.json", _export(CONFIG_FILE), _read_export, _check_export, codec=JSON),
    Reader("export's weights", _export(MODEL_FILE), _read_export, is_guarded=True),
    Reader("checkpoint", _checkpoint, _read_checkpoint, _check_export, True, TORCH),
    Reader("fairseq's checkpoint", _fairseq(is_zip=True), _read_fairseq, codec=TORCH),
    Reader("fairseq's, before torch 1.6", _fairseq(is_zip=False), _read_fairseq),
    Reader("k2SSL's checkpoint", _k2ssl, _read_k2ssl, codec=TORCH),
    Reader("zip", _zip, _read_archive, _check_members),
    Reader("tar", _tar, _read_archive, _check_members),
    *(
        Reader(kind, _audio(f"a.{kind}"), _read_audio, _check_audio)
        for kind in ("wav", "rf64", "w64", "aiff", "au", "sph", "flac", "ogg", "mp3")
    ),
    Reader("Kaldi's wav.scp", _kaldi("wav.scp"), _read_kaldi, _check_imported),
    Reader("Kaldi's segments", _kaldi("segments"), _read_kaldi, _check_imported),
    Reader("Kaldi's text", _kaldi("text"), _read_kaldi, _check_imported),
    Reader("Lhotse's cuts", _cuts("cuts.jsonl"), _read_cuts, _check_imported, codec=JSON_LINES),
    Reader("Lhotse's cuts, inside gzip", _cuts("cuts.jsonl.gz"), _read_cuts, _check_imported,
           codec=JSON_LINES, shell=GZIP),
    Reader("Lhotse's cuts, gzip", _cuts("cuts.jsonl.gz"), _read_cuts, _check_imported),
)  # fmt: skip
