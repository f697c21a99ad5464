"""Where the presets are: in the folder at hand, in a checkout, or in an installed package."""

from __future__ import annotations

from pathlib import Path

from fairseq_budget.errors import BudgetError, expected_one_of

PREFIX = "budget_"
_PACKAGE = Path(__file__).parents[1]
_PLACES = (Path("examples"), _PACKAGE.parent / "examples", _PACKAGE / "presets")

STUDY_PRESETS = {
    "tera": "tera_librispeech",
    "hubert": "hubert_iter2_librispeech",
    "wav2vec2": "wav2vec2_librispeech",
}
"""The preset that stands for an objective where none is named."""


def preset_folder() -> Path:
    """The first folder that has some; ``examples`` where none does."""
    return next((folder for folder in _PLACES if preset_names(folder)), _PLACES[0])


def preset_names(folder: str | Path, names: str = f"{PREFIX}*.yaml") -> list[str]:
    """The presets of a folder, without their suffix, in order."""
    return sorted(path.stem for path in Path(folder).glob(names))


def find_preset(name: str, folder: Path) -> str:
    """A preset's whole name, of ``tera_demo`` or ``budget_tera_demo.yaml``; BudgetError if unknown.

    >>> find_preset("tera_demo", preset_folder())
    'budget_tera_demo'
    """
    known = preset_names(folder)
    wanted = name.removesuffix(".yaml")
    for whole in (wanted, f"{PREFIX}{wanted}"):
        if whole in known:
            return whole
    near = wanted if wanted.startswith(PREFIX) else f"{PREFIX}{wanted}"
    raise BudgetError(f"no preset {name} in {folder}: {expected_one_of(near, known)}")
