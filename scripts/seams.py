"""How far frames of windows are from those of the whole: the table in docs/formats.md.

python scripts/seams.py --checkpoint CHECKPOINT --manifest valid.tsv --minutes 4
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.console.table import markdown_table
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.frames import FRAME_RATE_HZ, SAMPLE_RATE
from fairseq_budget.labels.encoder_layers import LayersExtractor
from fairseq_budget.labels.features import Frames, Wave
from fairseq_budget.labels.windows import Windows, cut_windows
from fairseq_budget.pretrained import load_pretrained

OVERLAPS_S = (0, 1, 2, 4, 8)
NEAR_S = 0.2  # of a seam


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4, help="of its utterances, joined")
    parser.add_argument("--window-seconds", type=float, default=30)
    args = parser.parse_args()
    wave = _joined(args.manifest, round(60 * args.minutes * SAMPLE_RATE))
    encoder = load_pretrained(args.checkpoint)
    extractor = LayersExtractor(encoder, [encoder.encoder.num_layers])
    [whole] = extractor([wave])
    rows = []
    for overlap_s in OVERLAPS_S:
        cuts = [round(s * FRAME_RATE_HZ) for s in (args.window_seconds, overlap_s)]
        windows = cut_windows(np.array([len(wave)]), *cuts)
        errors = _errors(_by_windows(extractor, wave, windows), whole)
        near = _near_seams(windows, len(whole))
        rows.append(
            {
                "overlap (s)": f"{overlap_s}",
                f"within {NEAR_S:g} s of a seam": f"{errors[near].mean():.2%}",
                "the worst frame there": f"{errors[near].max():.1%}",
                "elsewhere": f"{errors[~near].mean():.2%}",
            }
        )
    print(markdown_table(rows))


def _joined(manifest: Path, num_samples: int) -> Wave:
    """The first utterances of a manifest as one wave (S,), again and again if they are few."""
    corpus = read_text(manifest)
    once = np.concatenate([corpus.read(index) for index in range(len(corpus))])
    return np.resize(once, num_samples)


def _by_windows(extractor: LayersExtractor, wave: Wave, windows: Windows) -> Frames:
    bounds = zip(windows.start, windows.stop, strict=True)
    heard = extractor([wave[a:b] for a, b in bounds])
    taken = zip(heard, windows.skip, windows.keep, strict=True)
    return np.concatenate([frames[skip : skip + keep] for frames, skip, keep in taken])


def _errors(found: Frames, whole: Frames) -> NDArray[np.float32]:
    """(T,): the distance of each frame from the true one, as a share of the mean norm."""
    norm = np.linalg.norm(whole - whole.mean(0), axis=1).mean()
    return np.linalg.norm(found - whole, axis=1) / norm


def _near_seams(windows: Windows, num_frames: int) -> NDArray[np.bool_]:
    seams = np.cumsum(windows.keep)[:-1]
    distance = np.abs(np.arange(num_frames)[:, None] - seams).min(1)
    return distance < NEAR_S * FRAME_RATE_HZ


if __name__ == "__main__":
    main()
