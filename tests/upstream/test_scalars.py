"""What s3prl logs is kept as text, too."""

from __future__ import annotations

from pathlib import Path

from fairseq_budget.upstream.scalars import read_scalars, write_scalars


class Writer:
    """As much of tensorboardX's writer as is used."""

    def __init__(self, logdir: Path) -> None:
        self.logdir = logdir
        self.added: list[tuple[str, float, int | None]] = []

    def add_scalar(self, tag: str, value: float, global_step: int | None = None) -> None:
        self.added.append((tag, value, global_step))


def test_scalars_are_written_beside_the_writers_own(tmp_path: Path) -> None:
    assert read_scalars(tmp_path) == {}
    writer = write_scalars(Writer)(tmp_path)
    writer.add_scalar("asr/dev-wer", 50, global_step=10)
    writer.add_scalar("asr/dev-wer", 40.5, global_step=20)
    writer.add_scalar("asr/train-loss", 1.5, 20)
    assert writer.added[1:] == [("asr/dev-wer", 40.5, 20), ("asr/train-loss", 1.5, 20)]
    assert read_scalars(tmp_path)["asr/dev-wer"] == {10: 50.0, 20: 40.5}


def test_an_update_that_is_made_again_counts_as_it_was_last(tmp_path: Path) -> None:
    (tmp_path / "scalars.tsv").write_text("a\t1\t0.5\na\t2\t0.6\na\t2\t0.7\n")
    assert read_scalars(tmp_path) == {"a": {1: 0.5, 2: 0.7}}
