"""Two recordings that folders of other toolkits name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.synthetic import write_tone


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """a.wav of 2 s and b.wav of 1 s."""
    write_tone(tmp_path / "a.wav", 32000, seed=1)
    write_tone(tmp_path / "b.wav", 16000, seed=2)
    return tmp_path
