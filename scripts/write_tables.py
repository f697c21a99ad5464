"""Write the generated tables of the README between their markers; --check only compares."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from fairseq_budget.plan import PAPER_RUNS, count_parameters, plan_updates
from fairseq_budget.sizes import SIZES
from fairseq_budget.table import markdown_table

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def sizes_table() -> str:
    rows = []
    for name, size in SIZES.items():
        counted = count_parameters(name)
        plan = plan_updates(
            name, flops=1.33e18, gpus=2, seconds_per_gpu=78.03, sequence_s=14.0, hours=960
        )
        in_paper = name in PAPER_RUNS
        rows.append(
            {
                "`model.size`": f"`{name}`",
                "layers": str(size.encoder_layers),
                "width": str(size.encoder_embed_dim),
                "feed-forward": str(size.encoder_ffn_embed_dim),
                "heads": str(size.encoder_attention_heads),
                "parameters (TERA)": f"{counted['parameters']:,}",
                "paper": f"{counted['paper']:,}" if in_paper else "-",
                "training GFLOP per second of audio": f"{plan['gflops_per_audio_second']:.2f}",
                "updates for 1.33e18": f"{plan['updates']:,}" if in_paper else "-",
                "paper's": f"{PAPER_RUNS[name].max_update:,}" if in_paper else "-",
            }
        )
    return markdown_table(rows)


def results_table() -> str:
    """The first table of docs/results.md, which `make results` writes."""
    lines = (ROOT / "docs/results.md").read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    last = next(i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    return "\n".join(lines[first:last])


def filled(text: str) -> str:
    """``text`` with every table between its markers made anew."""
    for name, table in {"sizes": sizes_table(), "results": results_table()}.items():
        block = f"<!-- {name} -->\n{table}\n<!-- end of {name} -->"
        pattern = rf"<!-- {name} -->\n.*?<!-- end of {name} -->"
        text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
    return text


def main() -> int:
    old = README.read_text(encoding="utf-8")
    new = filled(old)
    if "--check" not in sys.argv:
        README.write_text(new, encoding="utf-8")
    elif new != old:
        print("README.md has stale tables: run `make tables`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
