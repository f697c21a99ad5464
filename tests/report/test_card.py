"""A model card says what is known, escapes what was chosen, and states no licence."""

import json
import re

import pytest
import torch
import yaml

from fairseq_budget.cli.export import main
from fairseq_budget.pretrained import save_pretrained, untrained
from fairseq_budget.pretrained.portable import _losses
from fairseq_budget.report.card import card
from tests.own_models import random_checkpoint
from tests.report.test_scored import write_superb

ODD = "<b>|\n```\n# x"
SESSION = {
    "fairseq_budget": "0.3.0",
    "commit": "0123456789abcdef",
    "command": f"fairseq-hydra-train --config-name budget_tera_demo model.size={ODD!r}",
    "data": {ODD: {"manifest": "5eed" * 16}},
}
MADE = {
    "num_updates": 1200,
    "audio_hours": 5.333,
    "flops": 7.25e12,
    "losses": {"training": 0.51, "validation": 0.56},
    "task": {"data": f"/home/somebody/{ODD}"},
    "sessions": [SESSION],
}


@pytest.fixture
def checkpoint():
    made = random_checkpoint("budget_tera", subsample="cif", subsample_rate=2)
    made.provenance = MADE
    return made


def text_of(checkpoint, *arguments) -> str:
    return "\n\n".join(card(checkpoint, *(arguments or ("portable",))))


def row(text: str, name: str) -> str:
    """The value behind a name in one of the card's tables."""
    lines = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("|")]
    return {line[1].strip(): line[2].strip() for line in lines}[name]


def test_what_was_made_for_how_much_and_from_what_is_told(checkpoint):
    text = text_of(checkpoint)
    told = {
        "size": "tiny", "layers": "2, width 128", "frames": "50 a second", "subsampling": "cif, 2",
        "front-end": "convolutions on the waveform",
        "updates": "1,200", "audio heard": "5.33 hours", "cost": "7.25e+12 FLOPs",
        "last training loss": "0.51", "last validation loss": "0.56",
    }  # fmt: skip
    assert {name: row(text, name) for name in told} == told
    assert "manifest 5eed5eed5eed" in row(text, "made from")
    assert "fairseq_budget 0.3.0 at 0123456789ab" in row(text, "made by")
    assert "Preset budget_tera_demo" in text


def test_names_that_somebody_chose_neither_break_it_nor_become_html(checkpoint, tmp_path):
    checkpoint.model = "budget_x: y\nlicense: mit"
    text = text_of(checkpoint)
    assert yaml.safe_load(text.split("---")[1])["tags"][-1] == "x: y\nlicense: mit"
    prose = [part for part in text.split("\n\n") if not part.startswith("`")]
    assert not any("<b>" in part for part in prose)
    assert "somebody" not in text  # whose folder it was is nobody's business
    assert "\n````bash\nfairseq" in text  # a longer fence than the one within


@pytest.mark.parametrize("tool", ["portable", "transformers", "fairseq", "onnx", "torch"])
def test_the_licence_is_left_to_whoever_publishes(tool):
    checkpoint = random_checkpoint()
    text = text_of(checkpoint, tool)
    front = yaml.safe_load(text.split("---")[1])
    assert "license" not in front
    assert front["library_name"] == {"portable": "fairseq_budget"}.get(tool, tool)
    assert "chooses one here" in text.split("## Licence")[1]


@pytest.fixture
def export(checkpoint, tmp_path):
    """Export a checkpoint of so many updates again, and give its card's path."""

    def again(updates: int):
        checkpoint.provenance = {"num_updates": updates}
        save_pretrained(tmp_path / "ours", checkpoint)
        assert main([f"{tmp_path / 'ours'}", f"{tmp_path / 'out'}"]) == 0
        return tmp_path / "out" / "README.md"

    return again


@pytest.mark.parametrize("heading", ["## Licence", "## License"])
def test_what_people_have_filled_in_outlives_an_export_into_the_folder(heading, export):
    path = export(100)
    filled = path.read_text().split("## Licence")[0].replace("\n---", "\nlicense: mit  # ours\n---")
    own = f"{heading}\n\nMIT, é.\n\n## Thanks\n\nTo all."
    path.write_text("\ufeff" + filled + own, encoding="utf-8", newline="\r\n")
    for updates in (200, 300):
        text = export(updates).read_text()
        assert row(text, "updates") == str(updates)
        assert yaml.safe_load(text.split("---")[1])["license"] == "mit"
        assert text.endswith(f"\n\n{own}\n")
        assert text.count("A speech encoder") == text.count("## Loading it") == 1


def test_a_card_that_nobody_filled_in_is_as_if_written_once(export):
    once = export(100).read_text()
    export(200)
    assert export(100).read_text() == once


@pytest.mark.parametrize(
    "content", [b"# My model\n", b"\xff\xfe## Licence\n", b""], ids=["other", "no text", "empty"]
)
def test_what_is_no_card_stays_as_it_is(content, export, capsys):
    path = export(100)
    path.write_bytes(content)
    (path.parent / "LICENSE").write_text("mine")
    capsys.readouterr()
    assert export(200).read_bytes() == content
    assert "README.md stays as it was" in capsys.readouterr().out
    assert (path.parent / "LICENSE").read_text() == "mine"


def test_scores_come_with_their_commands(checkpoint, tmp_path):
    save_pretrained(tmp_path / "ours", checkpoint)
    superb = write_superb(tmp_path, {"task": "ic"}, {"task": "sid", "upstream": ODD})
    words = [f"{tmp_path / 'ours'}", f"{tmp_path / 'out'}", "--scores", f"{superb}"]
    assert main(words) == 0
    text = (tmp_path / "out" / "README.md").read_text().split("## Scores")[1]
    assert row(text, "ic") == "WER"
    assert text.count("s3prl run_downstream.py -m train") == 2
    assert "| <b>" not in text


def test_exports_for_other_tools_carry_the_provenance_of_the_portable_one(tmp_path):
    checkpoint = random_checkpoint()
    checkpoint.provenance = MADE
    save_pretrained(tmp_path / "ours", checkpoint)
    assert main([f"{tmp_path / 'ours'}", f"{tmp_path / 'theirs'}", "--to", "fairseq"]) == 0
    ours = json.loads((tmp_path / "ours" / "config.json").read_text())["provenance"]
    assert json.loads((tmp_path / "theirs" / "provenance.json").read_text()) == ours
    assert ours["losses"] == MADE["losses"]


def test_what_is_not_known_is_left_out():
    for checkpoint in (random_checkpoint(), untrained(random_checkpoint(), 3)):
        checkpoint.provenance.pop("num_updates", None)
        text = text_of(checkpoint)
        assert "A speech encoder, in a format of fairseq_budget" in text
        assert "cost" not in text
        assert "None" not in text.split("## Licence")[0]


def test_a_checkpoint_whose_metrics_are_something_else_has_no_losses(tmp_path):

    for metrics in (
        None,
        [],
        {"train": 3},
        {"train": [[1, "loss", "x", {"sum": "a", "count": 0}]]},
    ):
        assert _losses({"extra_state": {"metrics": metrics}}) == {}
    assert _losses({"extra_state": 7}) == _losses({}) == {}
    whole = [[1, "loss", "x", {"sum": torch.tensor(6.0), "count": 4}]]
    assert _losses({"extra_state": {"metrics": {"valid": whole}}}) == {"validation": 1.5}
