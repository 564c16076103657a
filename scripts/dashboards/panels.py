"""Panels and dashboards with what all of ours have in common."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from grafana_foundation_sdk.builders import bargauge, common, heatmap, stat, table, text, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders.prometheus import Dataquery as Promql
from grafana_foundation_sdk.models import common as words
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from dashboards.series import label, metric
from tcpwatch import names

PROMETHEUS: Final = models.DataSourceRef(type_val="prometheus", uid="prometheus")
JAEGER: Final = models.DataSourceRef(type_val="jaeger", uid="jaeger")
TAG: Final = "tcpwatch"
SECONDS: Final = "s"
SHARE: Final = "percentunit"
PER_SECOND: Final = "ops"
COUNT: Final = "short"
MOST_TRACES: Final = 20
EXPLORE: Final = {
    "traces": {
        "datasource": "jaeger",
        "queries": [{"refId": "A", "queryType": "search", "service": "SERVICE"}],
        "range": {"from": "now-1h", "to": "now"},
    }
}


class Search:
    """A search for traces, as Grafana's Jaeger data source reads it; the SDK has no builder of it.

    `tags` is key=value, `longer` the least duration, as in 100ms.
    """

    def __init__(self, operation: str = "", tags: str = "", longer: str = "") -> None:
        self._said = {
            "refId": "A",
            "datasource": {"type": "jaeger", "uid": "jaeger"},
            "queryType": "search",
            "service": "$service",
            "operation": operation,
            "tags": tags,
            "minDuration": longer,
            "limit": MOST_TRACES,
        }

    def build(self) -> Search:
        """Return what is ready."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return what stands in the dashboard, without what was not said."""
        return {key: value for key, value in self._said.items() if value != ""}


def queries(
    panel: Any, *asked: tuple[str, str], traced: bool = False, instant: bool = False
) -> Any:
    """Add queries, each with its legend; `traced` ones bring exemplars."""
    for letter, (expression, legend) in zip("ABCDEFGH", asked, strict=False):
        query = (
            Promql().expr(expression).legend_format(legend).ref_id(letter).datasource(PROMETHEUS)
        )
        query = query.instant() if instant else query.range()
        panel = panel.with_target(query.exemplar(exemplar=True) if traced else query)
    return panel.datasource(PROMETHEUS)


def named(panel: Any, title: str, conclude: str, span: int, height: int = 8) -> Any:
    """Give a panel its title, what to conclude from it, and its size in cells of the grid."""
    return panel.title(title).description(conclude).span(span).height(height)


def thresholds(*steps: tuple[float | None, str]) -> Any:
    """Colours from values on; the first has no value."""
    made = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboards.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(made)


def how_to_read(content: str, height: int = 6) -> Any:
    """The text at the top."""
    return (
        text.Panel()
        .title("How to read this")
        .description("Where to look first, and what follows from what is seen there.")
        .mode(TextMode.MARKDOWN)
        .content(content.strip())
        .span(24)
        .height(height)
    )


def number(
    title: str,
    conclude: str,
    unit: str,
    query: str,
    *,
    warn: float | None,
    bad: float | None,
    span: int = 4,
) -> Any:
    """One number now, coloured from `warn` and `bad` on."""
    steps: list[tuple[float | None, str]] = [(None, "green")]
    steps += [(value, colour) for value, colour in ((warn, "orange"), (bad, "red")) if value]
    panel = named(stat.Panel(), title, conclude, span, height=4).unit(unit)
    panel = panel.thresholds(thresholds(*steps)).no_value("none")
    reduce = common.ReduceDataOptions().calcs(["lastNotNull"])
    return queries(panel.reduce_options(reduce), (query, ""), instant=True)


def lines(
    title: str,
    conclude: str,
    unit: str,
    *asked: tuple[str, str],
    stacked: bool = False,
    traced: bool = False,
    span: int = 12,
) -> Any:
    """Curves over time."""
    panel = (
        named(timeseries.Panel(), title, conclude, span)
        .unit(unit)
        .min(0)
        .fill_opacity(30 if stacked else 5)
        .show_points(words.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(words.LegendDisplayMode.TABLE)
            .placement(words.LegendPlacement.RIGHT)
            .show_legend(show_legend=True)
            .calcs(["max", "lastNotNull"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(words.TooltipDisplayMode.MULTI)
            .sort(words.SortOrder.DESCENDING)
        )
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(words.StackingMode.NORMAL))
    return queries(panel, *asked, traced=traced)


def bars(title: str, conclude: str, unit: str, query: str, legend: str, span: int = 12) -> Any:
    """One bar for each series, of the whole range."""
    panel = (
        named(bargauge.Panel(), title, conclude, span)
        .unit(unit)
        .min(0)
        .orientation(words.VizOrientation.HORIZONTAL)
        .display_mode(words.BarGaugeDisplayMode.GRADIENT)
        .no_value("none")
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    return queries(panel, (query, legend), instant=True)


def heat(title: str, conclude: str, query: str, span: int = 12, unit: str = SECONDS) -> Any:
    """A histogram over time; its dots are exemplars."""
    panel = (
        named(heatmap.Panel(), title, conclude, span)
        .calculate(calculate=False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Spectral")
            .steps(64)
            .reverse(reverse=True)
        )
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_gap(1)
    )
    asked = (
        Promql()
        .expr(query)
        .legend_format("{{le}}")
        .ref_id("A")
        .datasource(PROMETHEUS)
        .range()
        .format(PromQueryFormat.HEATMAP)
        .exemplar(exemplar=True)
    )
    return panel.with_target(asked).datasource(PROMETHEUS)


def traces(title: str, conclude: str, search: Search, span: int = 24) -> Any:
    """A list of traces; the first column opens one."""
    panel = named(table.Panel(), title, conclude, span, height=9)
    return panel.with_target(search).datasource(JAEGER)


def variable(name: str, title: str, meaning: str, series: str, of: str, *, many: bool) -> Any:
    """A choice above the panels, of the values that a label has."""
    made = (
        dashboards.QueryVariable(name)
        .label(title)
        .description(meaning)
        .datasource(PROMETHEUS)
        .query(f"label_values({series}, {of})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if not many:
        return made
    # Also those without the label: a listener of AF_UNIX has no port.
    return made.multi(multi=True).include_all(include_all=True).all_value(".*")


def variables() -> list[Any]:
    """The choices that every dashboard has."""
    accepted = metric(names.M_CONNECTION_ACCEPTED)
    chosen = f'{accepted}{{service_name="$service"}}'
    return [
        variable(
            "service",
            "Service",
            "service.name. One at a time: a search for traces takes only one.",
            accepted,
            "service_name",
            many=False,
        ),
        variable(
            "instance",
            "Instance",
            "service.instance.id: one process.",
            chosen,
            "service_instance_id",
            many=True,
        ),
        variable(
            "listener",
            "Listener",
            "The port that the server listens on.",
            chosen,
            label(names.SERVER_PORT),
            many=True,
        ),
    ]


def page(
    uid: str, title: str, meaning: str, panels: Sequence[Any], more: Sequence[Any] = ()
) -> Any:
    """A dashboard: variables, links to the others and to the traces, numbered panels."""
    panes = quote(json.dumps(EXPLORE, separators=(",", ":"))).replace("SERVICE", "${service}")
    made = (
        dashboards.Dashboard(title)
        .uid(uid)
        .description(meaning)
        .tags([TAG])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .variables([*variables(), *more])
        .link(
            dashboards.DashboardLink("tcpwatch")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .link(
            dashboards.DashboardLink("Traces of this service")
            .type(models.DashboardLinkType.LINK)
            .icon("external link")
            .url(f"/explore?schemaVersion=1&orgId=1&panes={panes}")
        )
    )
    for identity, panel in enumerate(panels, 1):
        made = made.with_panel(panel.id(identity))
    return made.build()
