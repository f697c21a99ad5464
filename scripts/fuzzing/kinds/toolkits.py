"""Folders of other toolkits: Kaldi's and Lhotse's."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.prepare.imported import Imported
from fairseq_budget.prepare.kaldi_folder import read_kaldi
from fairseq_budget.prepare.lhotse_cuts import read_lhotse
from fuzzing.codecs import GZIP, JSON_LINES
from fuzzing.kinds.made import SIZES, check_utterances, require, text_file, write_corpus
from fuzzing.reader import Reader


def _kaldi(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_corpus(folder)
        text_file("wav.scp", "r0 0.wav\nr1 1.wav\nr2 2.wav\n")(folder)
        text_file("text", "u0 the dog\nu2 zwölf\n")(folder)
        text_file("segments", "u0 r0 0 0.1\nu1 r1 0.05 -1\nu2 r2 0.1 0.3\n")(folder)
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
        write_corpus(folder)
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
    check_utterances(content)
    texts = [text for pair in content[0] for text in pair]
    require(all(text is None or "\n" not in text for text in texts), texts)


READERS = (
    Reader("Kaldi's wav.scp", _kaldi("wav.scp"), _read_kaldi, _check_imported),
    Reader("Kaldi's segments", _kaldi("segments"), _read_kaldi, _check_imported),
    Reader("Kaldi's text", _kaldi("text"), _read_kaldi, _check_imported),
    Reader("Lhotse's cuts", _cuts("cuts.jsonl"), _read_cuts, _check_imported, codec=JSON_LINES),
    Reader("Lhotse's cuts, inside gzip", _cuts("cuts.jsonl.gz"), _read_cuts, _check_imported,
           codec=JSON_LINES, shell=GZIP),
    Reader("Lhotse's cuts, gzip", _cuts("cuts.jsonl.gz"), _read_cuts, _check_imported),
)  # fmt: skip
