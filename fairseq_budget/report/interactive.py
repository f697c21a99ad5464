"""Figures that are zoomed and switched in a browser; the only import of plotly.

Names are escaped: plotly reads some HTML in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fairseq_budget.audio.mfcc import LogMel
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import FRAME_RATE_HZ
from fairseq_budget.report.boundaries import Fired
from fairseq_budget.report.curve import forecast_lines
from fairseq_budget.report.lines import Line
from fairseq_budget.report.probe import HEADERS, ProbeRow, asked, grids
from fairseq_budget.report.probe_features import LOG_MEL_RATE_HZ
from fairseq_budget.report.reconstruction import Reconstruction
from fairseq_budget.report.trained import Trained

try:
    from plotly.graph_objects import Figure, Heatmap, Scatter
    from plotly.offline import get_plotlyjs
except ImportError as error:
    raise BudgetError(
        'a report in HTML needs plotly: pip install "fairseq_budget[report]"'
    ) from error

# told apart by most eyes, on white and on black
COLORS = ("#3f83c8", "#d9730d", "#2a9d74", "#b5589a", "#b09012", "#7a6ad0", "#4fa7b8", "#c4504a")
BUTTONS = ["toImage", "zoom2d", "pan2d", "resetScale2d"]  # others send figures elsewhere
# from chance, or nothing, to the best; what is written on it is dark on all of it
HEAT = ((0.0, "#eef3f9"), (1.0, "#4c93d9"))
_GRID = "rgba(128, 128, 128, 0.25)"
_CLEAR = "rgba(0, 0, 0, 0)"  # the page's own ground, which is light or dark
LAYER = "layer (0: what the first one hears)"


def library() -> str:
    """plotly's JavaScript, all of it, once for a page."""
    return get_plotlyjs()


def markup(figure: Figure, name: str) -> str:
    """A figure as an element of a page that has the library; `name` is its own."""
    config = {"responsive": True, "displaylogo": False, "modeBarButtons": [BUTTONS]}
    return figure.to_html(config, full_html=False, include_plotlyjs=False, div_id=name)


def losses(runs: Sequence[Trained]) -> Figure:
    """Training and validation losses of all runs; a click on a name switches it off."""
    lines, spent = [], []
    for place, run in enumerate(runs):
        for records, kind, look in (
            (run.log.train, "training", {"mode": "lines"}),
            (run.log.valid, "validation", {"mode": "lines+markers", "line_dash": "dot"}),
        ):
            if records:
                lines.append(_line(f"{run.name}, {kind}", records, place, look))
                spent.append(run.flops_at(records))
        drawn = _forecast(run, place)
        lines += drawn
        spent += [run.flops_at([{"num_updates": x} for x in line.x]) for line in drawn]
    height = 420 + 12 * len(lines)  # on a phone each name takes a line
    figure = _figure(lines, height=height, xaxis_title="updates", yaxis_title="loss")
    menus = [_x_axes([line.x for line in lines], spent)] if any(spent) else []
    menus.append(_scales())
    return figure.update_layout(
        margin_t=80,  # for the buttons, below plotly's own
        updatemenus=[_menu(buttons, side) for side, buttons in enumerate(menus)],
    )


def _x_axes(updates: Sequence[Any], flops: Sequence[Any]) -> list[dict[str, Any]]:
    """Buttons for what all lines are drawn over."""
    return [
        _button(name, {"x": x}, {"xaxis.title.text": name, "xaxis.exponentformat": ticks})
        for name, x, ticks in (("updates", updates, "SI"), ("FLOPs", flops, "power"))
    ]


def _scales() -> list[dict[str, Any]]:
    return [
        _button(kind, {}, {"yaxis.type": kind, "yaxis.autorange": True})
        for kind in ("linear", "log")
    ]


def _line(name: str, records: Sequence[Mapping[str, float]], place: int, look: Any) -> Scatter:
    return Scatter(
        x=[record["num_updates"] for record in records],
        y=[record["loss"] for record in records],
        name=_text(name),
        line_color=COLORS[place % len(COLORS)],
        **look,
    )


def _forecast(run: Trained, place: int) -> list[Scatter]:
    """What task.forecast logs: the loss without penalties, and the band that was expected."""
    rows = forecast_lines(run.log)
    if not rows:
        return []
    updates, losses, expected, low, high = map(list, zip(*rows, strict=True))
    color = COLORS[place % len(COLORS)]
    band = {"mode": "lines", "line_width": 0, "hoverinfo": "skip", "legendgroup": str(place)}
    look = {"fill": "toself", "opacity": 0.3, "fillcolor": color}
    return [
        Scatter(x=updates, y=losses, name=_text(f"{run.name}, validation without penalties"),
                mode="markers", marker_color=color),
        Scatter(x=updates, y=expected, name=_text(f"{run.name}, forecast"), mode="lines",
                line={"color": color, "dash": "dash"}, legendgroup=str(place)),
        Scatter(x=updates + updates[::-1], y=high + low[::-1], showlegend=False, **band, **look),
    ]  # fmt: skip


def against(name: str, lines: Sequence[Line], along: str) -> Figure:
    """What runs came to over what they differ in: a point for each, a line through means."""
    drawn = [trace for place, line in enumerate(lines) for trace in _of_line(line, place)]
    height = 320 + 20 * len(lines)  # a name of a line takes a line
    figure = _figure(drawn, height=height, xaxis_title=along, showlegend=True, **_title(name))
    return figure.update_xaxes(type="log", nticks=6)


def _of_line(line: Line, place: int) -> list[Scatter]:
    color, group = COLORS[place % len(COLORS)], str(place)
    x, y, names = map(list, zip(*line.runs, strict=True))
    points = {"text": list(map(_text, names)), "mode": "markers", "marker_color": color}
    means_x, means_y = map(list, zip(*line.means, strict=True))
    return [
        Scatter(x=means_x, y=means_y, name=_text(line.name), mode="lines", line_color=color,
                hoverinfo="skip", legendgroup=group),
        Scatter(x=x, y=y, name="", showlegend=False, legendgroup=group, **points),
    ]  # fmt: skip


def layer_weights(task: str, rows: Sequence[tuple[str, Sequence[float]]]) -> Figure:
    """The share of each layer in a task's sum, a row for each upstream."""
    percent = [[100 * share for share in weights] for _, weights in rows]
    names = [name for name, _ in rows]
    return _heat(task, percent, percent, y=names, x=range(max(map(len, percent))), xlabel=LAYER)


def probes(rows: Sequence[ProbeRow]) -> list[Figure]:
    """A figure for each checkpoint: layers by probes, in per cent, of rows that chance heads."""
    names = [HEADERS[name] for name in asked(rows[0])]
    return [
        _heat(
            checkpoint, grid.heights, 100 * grid.shares, x=names, y=range(len(grid.shares)),
            ylabel="layer", zmin=0, zmax=1,
        )
        for checkpoint, grid in grids(rows).items()
    ]  # fmt: skip


def reconstruction(result: Reconstruction) -> Figure:
    """Log-mel pictures: the true target, what was left of it to hear, and what was filled in."""
    true = result.spectrogram(result.target)  # (2 T, bands)
    filled = result.spectrogram(result.prediction.where(result.mask[:, None], result.target))
    hidden = result.mask.repeat_interleave(2).numpy()
    heard = _shades(true, true)
    heard[hidden] = 0
    pictures = {"true": _shades(true, true), "heard": heard, "filled in": _shades(filled, true)}
    figure = _rows([_picture(shades, LOG_MEL_RATE_HZ) for shades in pictures.values()], 420)
    for row, name in enumerate(pictures, start=1):
        figure.update_yaxes(title_text=name, showticklabels=False, row=row, col=1)
    return figure


def boundaries(wave: NDArray[np.float32], fired: Fired) -> Figure:
    """A log-mel picture of a wave (S,), CIF's weight of each frame below, and where it fires."""
    mel = LogMel()(torch.from_numpy(wave)[None])[0]  # (T, bands)
    starts_s = [frame / FRAME_RATE_HZ for frame in range(len(fired.alphas))]
    weights = Scatter(
        x=starts_s,
        y=fired.alphas.round(4).tolist(),
        line_shape="hv",
        line_color=COLORS[0],
        fill="tozeroy",
        name="weight",
    )
    figure = _rows([_picture(_shades(mel, mel), LOG_MEL_RATE_HZ), weights], 360)
    figure.update_yaxes(title_text="log-mel", showticklabels=False, row=1, col=1)
    figure.update_yaxes(title_text="CIF weight", row=2, col=1)
    lines = [
        {"type": "line", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "x0": at, "x1": at,
         "line": {"color": COLORS[1], "width": 1.5}}
        for at in fired.boundaries_s.round(2).tolist()
    ]  # fmt: skip
    return figure.update_layout(shapes=lines)


def _rows(traces: Sequence[Any], height: int) -> Figure:
    """Traces one below the other, over the same seconds."""
    figure = _figure([], height=height, showlegend=False)
    figure.set_subplots(len(traces), 1, shared_xaxes=True, vertical_spacing=0.04)
    for row, trace in enumerate(traces, start=1):
        figure.add_trace(trace, row=row, col=1)
    figure.update_xaxes(gridcolor=_GRID, zeroline=False, ticks="", automargin=True)
    figure.update_yaxes(gridcolor=_GRID, zeroline=False, ticks="", automargin=True)
    return figure.update_xaxes(title_text="seconds", row=len(traces), col=1)


def _picture(shades: NDArray[np.uint8], rate_hz: int) -> Heatmap:
    """Columns (T, bands), `rate_hz` of them a second, bands from low to high."""
    look = {"colorscale": "Magma", "zmin": 0, "zmax": 255, "showscale": False, "hoverinfo": "skip"}
    return Heatmap(z=shades.T, x0=0, dx=1 / rate_hz, **look)


def _shades(picture: Tensor, reference: Tensor) -> NDArray[np.uint8]:
    """(T, bands) -> one byte for each value, from the 2nd to the 99th per cent of a reference."""
    low, high = reference.quantile(0.02).item(), reference.quantile(0.99).item()
    share = (picture - low) / max(high - low, 1e-6)
    return (255 * share).clamp(0, 255).round().byte().numpy()


def _heat(
    title: str,
    heights: Any,
    percent: Any,
    *,
    x: Sequence[object],
    y: Sequence[object],
    xlabel: str = "",
    ylabel: str = "",
    **look: Any,
) -> Figure:
    """A row for each of `y`, from above, with `percent` (rows, columns) in cells of its colour."""
    heat = Heatmap(
        z=list(map(list, heights)),
        text=list(map(list, percent)),
        texttemplate="%{text:.1f}",
        hovertemplate="%{y}, %{x}: %{text:.2f} %<extra></extra>",
        textfont_color="#10203a",
        colorscale=HEAT,
        showscale=False,
        xgap=1,
        ygap=1,
        **look,
    )
    figure = _figure([heat], height=130 + 28 * len(y), **_title(title))
    figure.update_xaxes(title_text=xlabel, showgrid=False, **_ticks(x))
    return figure.update_yaxes(title_text=ylabel, showgrid=False, autorange="reversed", **_ticks(y))


def _ticks(names: Sequence[object]) -> dict[str, Any]:
    """By place: names may be the same twice. Those of probes are broken into lines."""
    shown = [_text(str(name)).replace(" ", "<br>") for name in names]
    return {"tickvals": list(range(len(names))), "ticktext": shown, "tickangle": 0}


def _title(text: str) -> dict[str, Any]:
    return {"title": {"text": _text(text), "font_size": 15, "x": 0, "xanchor": "left"}}


def _figure(traces: Sequence[Any], **layout: Any) -> Figure:
    figure = Figure(traces)
    figure.update_layout(
        template="none",
        colorway=COLORS,
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
        modebar_bgcolor=_CLEAR,
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0},
        **layout,
    )
    figure.update_xaxes(gridcolor=_GRID, zeroline=False, automargin=True)
    return figure.update_yaxes(gridcolor=_GRID, zeroline=False, automargin=True)


def _button(label: str, traces: dict[str, Any], layout: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "method": "update", "args": [traces, layout]}


def _menu(buttons: Sequence[dict[str, Any]], side: int) -> dict[str, Any]:
    """Buttons above a figure, at its left side (0) or its right one (1)."""
    where = {"x": side, "xanchor": ("left", "right")[side], "y": 1.02, "yanchor": "bottom"}
    return {"type": "buttons", "direction": "right", "buttons": buttons, **where}


def _text(name: str) -> str:
    return escape(name, quote=False)
