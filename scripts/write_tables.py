"""Write the generated tables of our pages between their markers; --check only compares."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.budget.flops import training_flops_per_second
from fairseq_budget.budget.lengths import plan_length
from fairseq_budget.budget.parameters import count_parameters, num_encoder_parameters
from fairseq_budget.budget.students import paper_rows
from fairseq_budget.budget.updates import UpdatePlan, plan_updates
from fairseq_budget.console.table import cells, markdown_table, table
from fairseq_budget.forecast.isoflop import budget_rows
from fairseq_budget.forecast.points import Point, points_table, read_points
from fairseq_budget.forecast.scores import score_rows
from fairseq_budget.forecast.seeds import seed_rows
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.nn.config import FRONTENDS
from fairseq_budget.papers.compute_budget import (
    CORPUS_HOURS,
    FIGURE_2,
    HEARD_SECONDS,
    PAPER_FLOPS,
    PAPER_RUNS,
)
from fairseq_budget.papers.match_to_win import BATCHES, LENGTHS_S
from fairseq_budget.sizes import SIZES, TransformerSize, ZipformerSize

ROOT = Path(__file__).parents[1]


def plan_of_the_study(size: str) -> UpdatePlan:
    """The study's budget and batches: 1.33e18 FLOPs, two GPUs, 960 h."""
    return plan_updates(
        size, flops=1.33e18, gpus=2, seconds_per_gpu=78.03, sequence_s=14.0, hours=960
    )


def dimensions(size: TransformerSize | ZipformerSize) -> dict[str, str]:
    return {
        "layers": _per_stack(size.encoder_layers),
        "width": _per_stack(size.encoder_embed_dim),
        "feed-forward": _per_stack(size.encoder_ffn_embed_dim),
        "heads": _per_stack(size.encoder_attention_heads),
    }


def _per_stack(value: int | tuple[int, ...]) -> str:
    """A transformer's number; the least and the most of a Zipformer's stacks."""
    values = (value,) if isinstance(value, int) else value
    return "-".join(str(end) for end in sorted({min(values), max(values)}))


def short_sizes_table() -> str:
    """The sizes in four columns, for the README."""
    rows = []
    for name, size in SIZES.items():
        shape = dimensions(size)
        gflops = plan_of_the_study(name).gflops_per_audio_second
        rows.append(
            {
                "`model.size`": f"`{name}`",
                "layers x width": f"{shape['layers']} x {shape['width']}",
                "parameters (TERA)": f"{count_parameters(name).parameters:,}",
                "GFLOP per second of audio": f"{gflops:.2f}",
            }
        )
    return markdown_table(rows)


def sizes_table() -> str:
    rows = []
    for name, size in SIZES.items():
        counted = count_parameters(name)
        plan = plan_of_the_study(name)
        in_paper = name in PAPER_RUNS
        rows.append(
            {
                "`model.size`": f"`{name}`",
                **dimensions(size),
                "parameters (TERA)": f"{counted.parameters:,}",
                "paper": f"{counted.paper:,}" if in_paper else "-",
                "training GFLOP per second of audio": f"{plan.gflops_per_audio_second:.2f}",
                "updates for 1.33e18": f"{plan.updates:,}" if in_paper else "-",
                "paper's": f"{PAPER_RUNS[name].max_update:,}" if in_paper else "-",
            }
        )
    return markdown_table(rows)


def frontends_table() -> str:
    """What log-mel frames in place of convolutions save of the FLOPs of each size."""
    rows = []
    for name in SIZES:
        encoders = [find_encoder(f"{name},frontend={frontend}") for frontend in FRONTENDS]
        conv, mel = (training_flops_per_second(encoder, 14.0) / 1e9 for encoder in encoders)
        parameters = [num_encoder_parameters(encoder) for encoder in encoders]
        rows.append(
            {
                "`model.size`": f"`{name}`",
                "GFLOP, conv": f"{conv:.2f}",
                "GFLOP, logmel": f"{mel:.2f}",
                "saved": f"{100 * (1 - mel / conv):.0f} %",
                "audio for the same FLOPs": f"{conv / mel:.1f} times",
                "parameters, conv": f"{parameters[0]:,}",
                "parameters, logmel": f"{parameters[1]:,}",
            }
        )
    return markdown_table(rows)


def results_table() -> str:
    """The first table of docs/results.md, which `make results` writes."""
    lines = (ROOT / "docs/results.md").read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    last = next(i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    return "\n".join(lines[first:last])


def study_table() -> str:
    """Table 4 of the compute-budget study, with the updates of its Figure 2."""
    rows = []
    for name, paper in PAPER_RUNS.items():
        size = SIZES[name]
        plan = plan_of_the_study(name)
        counts = {
            title: f"{count_parameters(name, objective).paper:,}"
            for title, objective in (
                ("HuBERT", "hubert"),
                ("wav2vec 2.0", "wav2vec2"),
                ("TERA", "tera"),
            )
        }
        rows.append(
            {
                "`model.size`": f"`{name}`",
                **counts,
                **dimensions(size),
                "updates, ours": f"{plan.updates:,}",
                "the study's": f"{paper.max_update:,}",
                "epochs": f"{plan.epochs:.2f}",
            }
        )
    return markdown_table(rows)


def figure_2(objective: str) -> list[Point]:
    """The study's runs of an objective at its one budget."""
    return [
        Point(
            name=f"{objective} {size}",
            objective=objective,
            size=size,
            parameters=count_parameters(size).encoder,
            frames=round(PAPER_RUNS[size].max_update * HEARD_SECONDS * FRAME_RATE_HZ),
            unique_frames=float(CORPUS_HOURS * 3600 * FRAME_RATE_HZ),
            flops=PAPER_FLOPS,
            valid_loss=valid_loss,
            scores={"ASR WER": word_errors, "ASV EER": equal_errors},
        )
        for size, (word_errors, equal_errors, _, valid_loss) in FIGURE_2[objective].items()
    ]


def figure_2_table() -> str:
    """The U-curve; each cell has the three objectives in the order of `FIGURE_2`."""
    heads = ("ASR WER", "ASV EER", "training loss", "validation loss")
    rows = []
    for size in FIGURE_2["tera"]:
        row = {"size": f"`{size}`"}
        columns = zip(*(own[size] for own in FIGURE_2.values()), strict=True)
        for head, digits, values in zip(heads, (2, 2, 3, 3), columns, strict=True):
            row[head] = " / ".join(f"{value:.{digits}f}" for value in values)
        rows.append({**row, "ours": "not run"})
    return markdown_table(rows)


def optimum_table() -> str:
    """Approach 2 of Hoffmann et al. on Figure 2."""
    return table([row for objective in FIGURE_2 for row in budget_rows(figure_2(objective), 0)])


def ranks_table() -> str:
    rows = []
    for objective in FIGURE_2:
        own = cells(score_rows(figure_2(objective), 0))
        rows += [{"objective": objective, **row} for row in own]
    return markdown_table(rows)


def compression_table() -> str:
    """Parameters and MACs of Table 2 of the sequence-compression study."""
    shown = {
        "GMACs": "gmacs",
        "as profiled": "profiler_gmacs",
        "paper's": "paper_gmacs",
        "without front-end": "body_gmacs",
        "without, as profiled": "profiler_body_gmacs",
        "without, paper's": "paper_body_gmacs",
    }
    return markdown_table(
        [
            {
                "row": row.name,
                "Hz": f"{row.frame_rate_hz:.1f}",
                "parameters": f"{row.parameters:,}",
                "paper's (M)": _decimals(row.paper_parameters_m, 2),
                **{title: _decimals(getattr(row, key), 1) for title, key in shown.items()},
            }
            for row in paper_rows()
        ]
    )


def lengths_table() -> str:
    """Figure 2 of the sequence-length study: wav2vec 2.0 Base."""
    rows = []
    for length in LENGTHS_S:
        cells = [plan_length("base", "wav2vec2", length_s=length, batch=b) for b in BATCHES]
        memory = {
            f"GiB, batch {row.batch}": f"{row.fp32_gib:.1f} / {row.mixed_gib:.1f}" for row in cells
        }
        gflop = f"{cells[0].forward_gflops:.1f}"
        rows.append({"length": f"{length:g} s", "GFLOP": gflop, **memory})
    return markdown_table(rows)


def seeds_table(name: str) -> str:
    """Runs of scripts/tradeoffs.sh, three seeds in each row."""
    return table(seed_rows(read_points([ROOT / f"docs/data/{name}.tsv"])))


def bench_table(name: str) -> str:
    """What a script of scripts/bench/ has measured, as its --json wrote it."""
    found = json.loads((ROOT / f"docs/data/bench/{name}.json").read_text(encoding="utf-8"))
    return table(found["rows"])


def _decimals(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:,.{places}f}"


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"sizes": short_sizes_table, "results": results_table},
    "docs/budget.md": {"sizes": sizes_table},
    "docs/guides/logmel.md": {"front-ends": frontends_table},
    "docs/papers/compute_budget.md": {
        "table 4": study_table,
        "figure 2": figure_2_table,
        "optimum": optimum_table,
        "ranks": ranks_table,
    },
    "docs/papers/sequence_compression.md": {"compression": compression_table},
    "docs/papers/match_to_win.md": {"figure 2": lengths_table},
    "docs/forecast.md": {
        name: partial(seeds_table, f"{name}_digits_and_orders_tera")
        for name in ("sizes", "shapes", "hours")
    },
    "docs/benchmarks.md": {
        name: partial(bench_table, name)
        for name in ("training", "labels_0.7h", "labels_3h", "startup")
    },
}
FILES = {
    f"docs/data/compute_budget_{objective}.tsv": partial(points_table, figure_2(objective))
    for objective in FIGURE_2
}


def filled(page: str, text: str) -> str:
    """``text`` with every table between its markers made anew; files of data as a whole."""
    if page in FILES:
        return FILES[page]()
    for name, make in PAGES[page].items():
        block = f"<!-- {name} -->\n{make()}\n<!-- end of {name} -->"
        pattern = rf"<!-- {name} -->\n.*?<!-- end of {name} -->"
        text, num_blocks = re.subn(pattern, block.replace("\\", r"\\"), text, flags=re.DOTALL)
        if num_blocks != 1:
            sys.exit(f"{page}: expected one table between <!-- {name} --> and its end")
    return text


def main() -> int:
    stale = []
    for page in (*PAGES, *FILES):
        path = ROOT / page
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        new = filled(page, old)
        if new != old:
            stale.append(page)
        if "--check" not in sys.argv:
            path.write_text(new, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"stale tables in {', '.join(stale)}: run `make tables`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
