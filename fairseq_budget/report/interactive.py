"""Figures that are zoomed and switched in a browser; the only import of plotly.

Names are escaped: plotly reads some HTML in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fairseq_budget.errors import BudgetError
from fairseq_budget.report.curve import Run, forecast_lines
from fairseq_budget.report.probe import HEADERS, ProbeRow, asked, grids
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


def against_size(runs: Sequence[Run]) -> list[Figure]:
    """One figure for each loss and score against parameters, one line for each objective."""
    return [_panel(runs, name) for name in dict.fromkeys(n for run in runs for n in run.points())]


def _panel(runs: Sequence[Run], name: str) -> Figure:
    lines = []
    for objective in dict.fromkeys(run.objective for run in runs):
        own = [run for run in runs if run.objective == objective and name in run.points()]
        own.sort(key=lambda run: run.parameters)
        lines.append(
            Scatter(
                x=[run.parameters for run in own],
                y=[run.points()[name] for run in own],
                text=[_text(run.name) for run in own],
                name=_text(objective),
                mode="lines+markers",
            )
        )
    figure = _figure(lines, height=320, xaxis_title="parameters", showlegend=True, **_title(name))
    return figure.update_xaxes(type="log", nticks=6)


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
