"""Checkpoints that a kill has cut short, and files that no run has written."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.run.recovery import (
    LAST,
    mend_checkpoint,
    newest_whole,
    put_copy,
    refuse_links,
    starting_point,
)


@pytest.fixture
def folder(tmp_path):
    for age, (name, update) in enumerate(
        {"checkpoint_last.pt": 3, "checkpoint_1_3.pt": 3, "checkpoint_best.pt": 1}.items()
    ):
        torch.save({"update": update}, tmp_path / name)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    return tmp_path


def update_of(path) -> int:
    return torch.load(path, weights_only=True)["update"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_the_newest_whole_checkpoint_takes_the_place_of_a_damaged_one(folder, share):
    last = folder / "checkpoint_last.pt"
    content = last.read_bytes()
    last.write_bytes(content[: int(share * len(content))])
    assert mend_checkpoint(folder) == folder / "checkpoint_1_3.pt"
    assert update_of(last) == 3
    assert mend_checkpoint(folder) is None


@pytest.mark.parametrize("kind", ["hole of zeros", "flipped bit", "garbage with a whole end"])
def test_damage_in_the_middle_is_found_and_the_one_before_taken(folder, kind):
    weights = {"update": 3, "weights": torch.randn(5000)}
    for age, name in enumerate(["checkpoint_last.pt", "checkpoint_1_3.pt"]):
        torch.save(weights, folder / name)
        os.utime(folder / name, (2000 - age, 2000 - age))
    last = folder / "checkpoint_last.pt"
    content = bytearray(last.read_bytes())
    if kind == "hole of zeros":
        content[5000:6000] = bytes(1000)
    elif kind == "flipped bit":
        content[9000] ^= 1
    else:
        content[:-1500] = bytes([7]) * (len(content) - 1500)
    for name in ("checkpoint_last.pt", "checkpoint_1_3.pt"):
        (folder / name).write_bytes(content)
    os.utime(folder / "checkpoint_1_3.pt", (1999, 1999))
    assert mend_checkpoint(folder) == folder / "checkpoint_best.pt"
    assert update_of(last) == 1


def test_of_checkpoints_of_one_moment_the_one_of_the_later_update_is_the_newest(tmp_path):
    in_order = ["checkpoint_1_9.pt", "checkpoint_1_10.pt", "checkpoint1.pt", "checkpoint_2_11.pt"]
    for name in sorted(in_order):
        torch.save({}, tmp_path / name)
        os.utime(tmp_path / name, (1000, 1000))
    for name in reversed(in_order):
        assert newest_whole(tmp_path) == tmp_path / name
        (tmp_path / name).unlink()


def test_a_missing_last_checkpoint_is_put_back_from_the_newest_of_the_run(folder):
    (folder / "checkpoint_last.pt").unlink()
    torch.save({"update": 9}, folder / "checkpoint_average.pt")  # no state to go on from
    assert mend_checkpoint(folder) == folder / "checkpoint_1_3.pt"
    assert update_of(folder / "checkpoint_last.pt") == 3


def test_what_a_kill_left_half_written_is_removed(folder):
    for name in (".checkpoint_1_4.pt.x8s", "checkpoint_1_4.pt.tmp", ".checkpoint_last.pt.link"):
        (folder / name).write_bytes(b"PK")
    before = sorted(folder.glob("checkpoint*.pt"))
    assert mend_checkpoint(folder) is None
    assert sorted(path for path in folder.iterdir() if path.is_file()) == before


def test_a_second_name_outlives_the_first_and_is_replaced_whole(folder):
    put_copy(folder / "checkpoint_1_3.pt", folder / "checkpoint_last.pt")
    put_copy(folder / "checkpoint_best.pt", folder / "checkpoint_last.pt")
    assert update_of(folder / "checkpoint_1_3.pt") == 3
    (folder / "checkpoint_best.pt").unlink()
    assert update_of(folder / "checkpoint_last.pt") == 1


def test_where_there_are_no_hard_links_content_is_copied(folder, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)
    put_copy(folder / "checkpoint_best.pt", folder / "checkpoint_last.pt")
    assert update_of(folder / "checkpoint_last.pt") == 1
    assert not (folder / "checkpoint_last.pt").samefile(folder / "checkpoint_best.pt")


def test_zeros_that_a_power_cut_leaves_are_mended(folder):
    (folder / "checkpoint_last.pt").write_bytes(bytes(5000))
    assert mend_checkpoint(folder) == folder / "checkpoint_1_3.pt"


def test_a_whole_checkpoint_and_a_new_run_are_left_alone(folder, tmp_path):
    assert mend_checkpoint(folder) is None
    assert mend_checkpoint(tmp_path / "new") is None


@pytest.mark.parametrize("kind", ["older format", "cut older format", "text"])
def test_what_no_run_has_written_is_left_alone(folder, kind):
    last = folder / "checkpoint_last.pt"
    torch.save({"update": 3}, last, _use_new_zipfile_serialization=False)
    if kind == "cut older format":
        last.write_bytes(last.read_bytes()[:50])
    if kind == "text":
        last.write_text("weights are at https://example.org")
    before = last.read_bytes()
    assert mend_checkpoint(folder) is None
    assert last.read_bytes() == before


def test_without_any_whole_checkpoint_the_error_says_what_to_remove(folder):
    for path in folder.iterdir():
        path.write_bytes(b"PK")
    with pytest.raises(
        BudgetError, match=r"checkpoint_last.pt is damaged .*remove checkpoint_last.pt, "
    ):
        mend_checkpoint(folder)


def test_a_link_to_a_file_elsewhere_is_refused_as_fairseq_would_write_through_it(folder):
    run = folder / "run"
    run.mkdir()
    (run / "checkpoint_last.pt").symlink_to(folder / "checkpoint_best.pt")
    with pytest.raises(BudgetError, match=r"link to .*checkpoint_best.pt, which this run would"):
        refuse_links(run)
    (folder / "checkpoint_new.pt").symlink_to(folder / "checkpoint_best.pt")
    refuse_links(folder)


def settings(folder, **changes):
    fields = {"restore_file": "checkpoint_last.pt", "finetune_from_model": None, **changes}
    return SimpleNamespace(save_dir=str(folder), **fields)


def test_a_run_goes_on_from_its_last_checkpoint_before_any_other(folder, tmp_path):
    best = str(folder / "checkpoint_best.pt")
    assert starting_point(settings(folder)) == (folder / "checkpoint_last.pt", False)
    assert starting_point(settings(folder, finetune_from_model=best)).path.name == LAST
    new = tmp_path / "new"
    assert starting_point(settings(new)) is None
    assert starting_point(settings(new, finetune_from_model=best)) == (Path(best), True)
    assert starting_point(settings(new, restore_file=best)) == (Path(best), False)


@pytest.mark.parametrize("field", ["restore_file", "finetune_from_model"])
def test_a_named_file_that_is_not_there_is_refused(folder, field):
    named = settings(folder / "new", **{field: str(folder / "none.pt")})
    with pytest.raises(BudgetError, match=rf"checkpoint.{field}=.*none.pt is no file that exists"):
        starting_point(named)
    with pytest.raises(BudgetError, match="is no file"):
        starting_point(settings(folder / "new", **{field: str(folder)}))


def test_a_bare_name_is_looked_for_where_fairseq_looks_and_the_right_path_is_said(folder):
    with pytest.raises(BudgetError, match=rf"; {folder}/checkpoint_1_3.pt does"):
        starting_point(settings(folder, restore_file="checkpoint_1_3.pt"))
