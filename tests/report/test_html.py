"""A report in HTML: sections of what there is, in one file that fetches nothing."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import wave
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from fairseq_budget.cli.report.command import main
from tests.forecast.pilots import write_pilot
from tests.report.test_curve import write_run
from tests.report.test_heard import write_heard_run
from tests.report.test_pages import write_comparison
from tests.report.test_scored import write_superb

pytest.importorskip("plotly", reason="draws the report")

ODD = '<img src="http://a.b/x">&<b>"\''
RUN = ["Training", "Losses"]
STUDENT = {"model": "budget_distilhubert", "subsample": "cif"}
VOID = ("meta", "br", "img", "link", "input", "hr")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Elements that are opened, closed and in place; texts by element; what attributes name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self.source = path.read_text()
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.open += [tag] * (tag not in VOID)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)


def report(tmp_path: Path, *words: object) -> Page:
    assert main(["html", *map(str, words), "--out", str(tmp_path / "report.html")]) == 0
    return Page(tmp_path / "report.html")


def add_session(folder: Path, **session: object) -> None:
    checkpoint = torch.load(folder / "checkpoint_last.pt")
    made = {"commit": "0123456789abcdef", "torch": "2.13", "command": "fairseq-hydra-train x"}
    data = {"train": {"manifest": "5eed"}}
    checkpoint["sessions"] = [{**made, "data": data, "from_update": 0, **session}]
    torch.save(checkpoint, folder / "checkpoint_last.pt")


def write_probe(path: Path, **row: object) -> Path:
    answers = {"phones": 0.5, "abx_within": 0.25}
    rows = [{"checkpoint": "chance", **answers}]
    rows += [{"checkpoint": "tera", "layer": layer, **answers, **row} for layer in (0, 1)]
    path.write_text(json.dumps({"seed": 0, "rows": rows}))
    return path


def test_a_run_is_a_page_of_what_it_cost_its_losses_and_its_provenance(tmp_path):
    folder = write_run(tmp_path / "slim", width=30, loss=2.0)
    add_session(folder)
    page = report(tmp_path, folder)
    assert page.texts["h2"] == [*RUN, "Provenance"]
    assert {"slim", "tera", "tiny", "30", "20", "1e+12"} <= {*page.texts["td"], *page.texts["th"]}
    assert {"0123456789abcdef", "2.13", "fairseq-hydra-train x", "5eed"} <= {*page.texts["dd"]}
    assert "slim, training" in page.source
    assert "slim, validation" in page.source


def test_a_run_that_goes_on_is_drawn_from_a_log_whose_last_line_is_cut(tmp_path):
    (tmp_path / "my.log").write_text(
        '{"epoch": 1, "loss": "2.5", "num_updates": "1"}\n{"epoch": 1, "loss": "nan", '
        '"num_updates": "2"}\n{"epoch": 1, "loss": "2'
    )
    page = report(tmp_path, "--log", tmp_path / "my.log")
    assert page.texts["h2"] == RUN
    assert '"x":[1.0,2.0],"y":[2.5,null]' in page.source
    assert "FLOPs" not in page.texts["th"]
    assert '"label":"FLOPs"' not in page.source


def test_losses_are_drawn_over_updates_or_flops(tmp_path):
    records = [{"epoch": 1, "loss": 2, "num_updates": u, "flops": u * 1e9} for u in (1, 2)]
    (tmp_path / "my.log").write_text("\n".join(map(json.dumps, records)))
    page = report(tmp_path, "--log", tmp_path / "my.log")
    assert '"x":[[1000000000.0,2000000000.0]]' in page.source
    assert '"label":"FLOPs"' in page.source


def test_runs_that_differ_in_size_or_in_data_are_drawn_against_it(tmp_path):
    changes = {"<b>": {}, "slim": {"size": "slim"}, "data": {"epochs": 0.5}}
    runs = [write_pilot(tmp_path / name, losses={20: 2.0}, **own) for name, own in changes.items()]
    page = report(tmp_path, *runs)
    assert page.texts["h2"][2:4] == ["Loss against size", "Loss against data"]
    assert '"name":"tera, 1e+12 FLOPs, 0.4 h"' in page.source
    assert '"text":["\\u0026lt;b\\u0026gt;","slim"]' in page.source.replace("&", "\\u0026")
    assert '"name":"tera, 1e+12 FLOPs, 0.506M parameters"' in page.source


def test_runs_that_differ_in_nothing_are_compared_in_nothing(tmp_path):
    runs = [write_pilot(tmp_path / name, losses={20: 2.0}) for name in "ab"]
    assert report(tmp_path, *runs).texts["h2"] == [*RUN, "Provenance"]


def test_lengths_of_sequences_are_a_table(tmp_path):
    runs = [
        write_pilot(tmp_path / str(size), losses={20: 2.0}, task={"max_sample_size": size})
        for size in (16000, 32000)
    ]
    page = report(tmp_path, *runs)
    assert page.texts["h2"][2:] == ["Length of sequences", "Provenance"]
    assert {"0 to 1", "0 to 2"} <= {*page.texts["td"]}


def test_scores_come_with_their_commands_behind_one_click(tmp_path):
    superb = write_superb(tmp_path, {"task": "ic"}, {"task": "sid", "layer_weights": None})
    row = {"upstream": "tera", "test accuracy (%)": "90.0"}
    comparison = write_comparison(tmp_path / "ks", table=[row])
    page = report(tmp_path, "--scores", superb, comparison)
    assert page.texts["h2"] == ["Scores", "Weights of layers"]
    assert page.texts["summary"] == ["20.0 ± 1.0", "20.0 ± 1.0", "90.0"]
    assert page.tags.count("details") == 3
    assert page.texts["th"] == ["upstream", "IC, WER", "SID, WER", "KS, accuracy", "tera"]
    assert {"s3prl run_downstream.py -m train", "s3prl run", "cac2fa7bde5f"} <= {*page.texts["dd"]}


def test_what_the_papers_printed_stands_below_on_request(tmp_path):
    superb = write_superb(tmp_path, {"task": "ic", "metric": "accuracy"})
    page = report(tmp_path, "--scores", superb, "--published")
    assert "TERA Slim (on a compute budget)" in page.texts["th"]
    assert "66.36" in page.texts["td"]
    assert any("do not compare with them" in text for text in page.texts["p"])
    assert "TERA Slim (on a compute budget)" not in report(tmp_path, "--scores", superb).source


def test_scores_without_figures_need_no_library(tmp_path):
    page = report(tmp_path, "--scores", write_superb(tmp_path, {"layer_weights": None}))
    assert "script" not in page.tags
    assert len(page.source) < 10_000


def test_probes_are_a_table_and_a_picture_of_each_checkpoint(tmp_path):
    page = report(tmp_path, "--probe", write_probe(tmp_path / "probe.json", phones=0.75))
    assert page.texts["h2"] == [f"What layers hold: {tmp_path}/probe.json"]
    assert "75.0% (0)" in page.texts["td"]
    assert '"text":[[75.0,25.0],[75.0,25.0]]' in page.source


@pytest.fixture
def full_page(tmp_path) -> Page:
    """A page with all sections, whose every name is odd."""
    changes = {">&<b>": {}, "b": {"size": "slim"}, "c": {"epochs": 1}}
    folders = [
        write_pilot(tmp_path / name, losses={20: 2.0}, **own) for name, own in changes.items()
    ]
    folders.append(write_heard_run(tmp_path / "tera"))
    add_session(folders[-1], command=ODD, torch=ODD, data={ODD: {ODD: ODD}})
    folders.append(write_heard_run(tmp_path / "cif", **STUDENT))
    superb = write_superb(tmp_path, dict.fromkeys(("task", "upstream", "metric", "command"), ODD))
    probe = write_probe(tmp_path / "<i>.json", checkpoint=ODD)
    return report(
        tmp_path, *folders, "--scores", superb, "--probe", probe, "--title", ODD
    )  # fmt: skip


def test_names_that_somebody_chose_are_no_html(full_page):
    assert full_page.texts["h1"] == [ODD]
    assert ODD in full_page.texts["dd"]
    assert not {"img", "b", "i"} & {*full_page.tags}
    # nor in figures, which read some HTML, and stand in scripts
    assert "&lt;img src=" in full_page.source.replace("\\u003c", "<")
    assert "\\u003cimg" not in full_page.source
    assert "\\u003cb\\u003e" not in full_page.source


def test_a_page_fetches_nothing(full_page):
    assert not {"link", "img", "iframe", "base"} & {*full_page.tags}
    fetched = [text or "" for name, text in full_page.attributes if name in ("src", "href")]
    assert len(fetched) == 2
    assert all(text.startswith("data:audio/wav;base64,") for text in fetched)
    assert not re.search(r"@import|url\(", "".join(full_page.texts["style"]))
    assert any(text and text.startswith("default-src 'none'") for _, text in full_page.attributes)


def test_the_library_is_in_it_once(full_page):
    library = [text for text in full_page.texts["script"] if len(text) > 1_000_000]
    assert len(library) == 1


def test_an_utterance_is_to_be_heard_and_seen(tmp_path):
    folders = [write_heard_run(tmp_path / "a"), write_heard_run(tmp_path / "b", **STUDENT)]
    page = report(tmp_path, *folders)
    assert page.texts["h2"][2:4] == ["What a hears", "What b hears"]
    assert any("speaker_0/utterance_000.wav. Of the" in text for text in page.texts["p"])
    for name, text in page.attributes:
        if name == "src":
            wav = io.BytesIO(base64.b64decode(text.partition("base64,")[2]))
            with wave.open(wav) as file:
                assert file.getparams()[:4] == (1, 2, 16000, 8 * 16000)
    many = report(tmp_path, *[write_heard_run(tmp_path / f"run{place}") for place in range(8)])
    assert sum(text.endswith(" hears") for text in many.texts["h2"]) == 6
    without = report(tmp_path, *folders, "--no-audio")
    assert without.texts["h2"] == [*RUN, "Provenance"]
    assert len(page.source) - len(without.source) < 2 * 3_000_000
    assert "audio" not in without.tags


def test_nothing_is_no_report(tmp_path, capsys):
    assert main(["html", "--out", str(tmp_path / "a.html")]) == 2
    assert "nothing to report: give runs" in capsys.readouterr().err
    assert not (tmp_path / "a.html").exists()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium or google-chrome")
def test_a_browser_draws_all_figures_and_is_asked_for_nothing_else(full_page, tmp_path):
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    words += ["--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [str(BROWSER), *words, (tmp_path / "report.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    figures = full_page.source.count('class="plotly-graph-div"')
    assert figures == 7
    assert done.stdout.count('class="plotly-graph-div js-plotly-plot"') == figures
    assert "CONSOLE" not in done.stderr  # what the policy refuses, and what fails, is said there
