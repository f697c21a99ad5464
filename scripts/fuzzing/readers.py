"""Every reader of a file that the project writes or takes: one table."""

from __future__ import annotations

from fuzzing.kinds import (
    audio_files,
    checkpoints,
    corpus_files,
    label_work,
    results,
    superb_corpora,
    text_files,
    toolkits,
)

READERS = (
    *corpus_files.READERS,
    *text_files.READERS,
    *label_work.READERS,
    *results.READERS,
    *superb_corpora.READERS,
    *checkpoints.READERS,
    *audio_files.READERS,
    *toolkits.READERS,
)
