"""The shape of a report in HTML, and its elements; what is in it comes from html.py."""

from __future__ import annotations

import base64
import io
import wave as wave_file
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template

import numpy as np
from numpy.typing import NDArray

from fairseq_budget import __version__
from fairseq_budget.frames import SAMPLE_RATE

# The policy is the browser's promise that nothing is fetched, whatever the page or plotly ask for.
_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; \
media-src data:">
$refresh<title>$title</title>
<style>$style</style>
$scripts</head>
<body>
<main>
<h1>$title</h1>
$body
</main>
<footer>Made by <code>budget-report html</code> of fairseq_budget $version.</footer>
</body>
</html>
""")

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --faint: #667085; --line: #d8dde5;
  --ground: #ffffff; --raised: #f4f6f9; --accent: #1f5fa8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --faint: #98a2b3; --line: #353d4a;
  --ground: #14181f; --raised: #1e242e; --accent: #7fb2ee; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main, footer { max-width: 62rem; margin: 0 auto; padding: 1rem; }
footer { color: var(--faint); font-size: 0.85rem; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; padding-bottom: 0.3rem;
  border-bottom: 1px solid var(--line); }
p { color: var(--faint); max-width: 44rem; margin: 0.5rem 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: 0.5rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.92rem; }
th, td { padding: 0.35rem 0.8rem 0.35rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--faint); }
tbody th { color: var(--ink); overflow-wrap: anywhere; min-width: 9rem; }
th:first-child { position: sticky; left: 0; background: var(--ground); }
summary { cursor: pointer; }
td summary { color: var(--accent); white-space: nowrap; }
details > dl { background: var(--raised); border-radius: 6px; padding: 0.6rem 0.8rem;
  margin: 0.4rem 0 0.8rem; }
td dl { min-width: 14rem; max-width: 24rem; }
dt { color: var(--faint); font-size: 0.8rem; }
dd { margin: 0 0 0.4rem; overflow-wrap: anywhere; }
dd.code { font: 0.8rem/1.4 ui-monospace, monospace; white-space: pre-wrap; }
audio { width: 100%; max-width: 44rem; margin: 0.5rem 0; }
.figures { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 48rem) { .figures.side { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
[class$="tick"] text, .infolayer text, .updatemenu-item-text { fill: var(--ink) !important; }
.updatemenu-item-rect { fill: var(--raised) !important; stroke: var(--line) !important; }
.modebar-btn path { fill: var(--faint) !important; }
"""


def page(
    title: str,
    sections: Iterable[str],
    scripts: Sequence[str] = (),
    *,
    refresh_s: float | None = None,
) -> str:
    """A whole page: the title is escaped, sections and scripts stand as they are.

    With `refresh_s` a browser reads it again after so many seconds.
    """
    refresh = "" if refresh_s is None else f'<meta http-equiv="refresh" content="{refresh_s:g}">\n'
    return _PAGE.substitute(
        title=escape(title),
        refresh=refresh,
        style=_STYLE,
        scripts="".join(f"<script>{script}</script>\n" for script in scripts),
        body="\n".join(sections),
        version=__version__,
    )


def section(title: str, parts: Iterable[str]) -> str:
    """A headed part of the page; the parts stand as they are."""
    return "\n".join(["<section>", f"<h2>{escape(title)}</h2>", *parts, "</section>"])


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def sound(wave: NDArray[np.float32]) -> str:
    """Buttons that play a wave (S,) at 16 kHz, which is in the page as a wav of 16 bits."""
    content = io.BytesIO()
    with wave_file.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((wave * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    text = base64.b64encode(content.getvalue()).decode()
    return f'<audio controls src="data:audio/wav;base64,{text}"></audio>'


def side_by_side(parts: Sequence[str]) -> str:
    """Figures in two columns where there is room for them and there are several."""
    if not parts:
        return ""
    several = " side" if len(parts) > 1 else ""
    return "\n".join([f'<div class="figures{several}">', *parts, "</div>"])


def text_table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table of texts by their header, as `console.table.cells` gives them."""
    return element_table(list(rows[0]), [list(map(escape, row.values())) for row in rows])


def element_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells stand as they are; the first of a row heads it."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "\n".join(
        f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for first, *cells in rows
    )
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<div class="wide">{table}</div>'


def details(summary: str, facts: Iterable[tuple[str, str]], code: Iterable[str] = ()) -> str:
    """What one click unfolds: facts by their names, of which `code` names those of machines."""
    names = set(code)
    shown = "\n".join(
        f"<dt>{escape(name)}</dt><dd{_class(name in names)}>{escape(text)}</dd>"
        for name, text in facts
    )
    return f"<details><summary>{escape(summary)}</summary>\n<dl>\n{shown}\n</dl></details>"


def _class(is_code: bool) -> str:
    return ' class="code"' if is_code else ""
