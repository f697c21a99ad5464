"""Manifests, columns beside them, labels, segments and packs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairseq_budget.corpus.column import column_path, description_path, write_column
from fairseq_budget.corpus.column_kinds import CENTROIDS_KEY, dictionary_path, info_path
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.labels import LabelInfo, open_labels, write_dictionary, write_info
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.packed import Packed, open_pack
from fairseq_budget.corpus.packing import pack_split
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.segments import open_segments, write_segments
from fairseq_budget.frames import num_frames
from fairseq_budget.prepare.summary import Summary
from fuzzing.codecs import JSON, PACK
from fuzzing.kinds.made import SIZES, TEXTS, check_rate, check_utterances, require, write_corpus
from fuzzing.reader import Reader


def _utterances(corpus: Corpus) -> list[tuple[str, int]]:
    own = zip(map(corpus.utterance, range(len(corpus))), corpus.sizes.tolist(), strict=True)
    require(all(u.num_samples == size for u, size in own), "another size")
    return [(corpus.name(index), size) for index, size in enumerate(corpus.sizes.tolist())]


def _read_manifest(path: Path) -> Any:
    manifest, corpus = Manifest.read(path), read_text(path)
    require(manifest.hash == corpus.hash, "a manifest of two hashes")
    return (
        str(corpus.root),
        _utterances(corpus),
        Summary.of(path, manifest).json(),
        corpus.num_samples,
    )


def _text(folder: Path) -> Path:
    return write_column(write_corpus(folder), "txt", TEXTS, None, more={"by": "hand"})


def _read_text(path: Path) -> Any:
    column = read_text(path.with_suffix(".tsv")).open_column("txt")
    return [column[index] for index in range(len(column))], column.rate


def _beside(make: Callable[[Path], Path], name: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """As `make`, but another of its files is the one that is changed."""
    return lambda folder: name(make(folder))


def _of_description(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    return lambda path: read(path.with_suffix(""))


def _labels(folder: Path) -> Path:
    manifest = write_corpus(folder)
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
    require(all(0 <= label < num_clusters for row in rows for label in row), rows)
    check_rate(content)


def _segments(folder: Path) -> Path:
    lines = [[3, num_frames(size)] for size in SIZES]
    return write_segments(write_corpus(folder), lines, kind="hand")


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


READERS = (
    Reader("manifest", write_corpus, _read_manifest, check_utterances),
    Reader("column of text", _text, _read_text, is_guarded=True),
    Reader(
        "its description", _beside(_text, description_path), _of_description(_read_text),
        check_rate, codec=JSON,
    ),
    Reader("labels", _labels, _read_labels, is_guarded=True),
    Reader(
        "their description", _beside(_labels, description_path), _of_description(_read_labels),
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
        "description of segments", _beside(_segments, description_path),
        _of_description(_read_segments), codec=JSON,
    ),
    Reader("pack, checked", _pack, _read_whole_pack, is_guarded=True),
    Reader("pack", _pack, _read_pack, codec=PACK),
)  # fmt: skip
