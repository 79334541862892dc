"""The dashboards' queries, and what else can be said of the files.

dashboards.py conventions    what every dashboard and panel must have
dashboards.py promql         a rules file with every PromQL query, for promtool
dashboards.py logql          {place: query} with every LogQL query, for logql.mjs
dashboards.py metrics        foreign metrics asked for = deploy/tests/external-metrics.txt
"""
import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
DASHBOARDS = sorted((ROOT / "deploy/monitoring/grafana/dashboards").glob("*/*.json"))
RULES = sorted((ROOT / "deploy/monitoring/rules").glob("*.rules.yml"))
LISTED = ROOT / "deploy/tests/external-metrics.txt"
SOURCES = {"${prometheus_datasource}": "prometheus", "${loki_datasource}": "loki"}


def load():
    return [(path, json.loads(path.read_text())) for path in DASHBOARDS]


def queries(kind):
    """(place, query) of panels, annotations and variables, with Grafana's variables filled in."""
    found = []
    for path, board in load():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if target["datasource"]["type"] == kind:
                    found.append((f"{path.stem}: {panel['title']}", target["expr"]))
        for note in board["annotations"]["list"]:
            if note["datasource"]["type"] == kind:
                found.append((f"{path.stem}: {note['name']}", note["expr"]))
        for variable in board["templating"]["list"]:
            inside = re.match(r"label_values\((.*), \w+\)$", str(variable.get("definition", "")))
            if kind == "prometheus" and inside:
                found.append((f"{path.stem}: ${variable['name']}", inside[1]))
    return [(place, filled(query)) for place, query in found]


def filled(query):
    query = re.sub(r"\$__(rate_interval|auto)", "5m", query)
    query = re.sub(r"\$(pipeline|stream|app|level|run)\b", "x", query)
    if "$" in query:
        raise SystemExit(f"a variable that nothing fills in: {query}")
    return query


def conventions():
    problems, uids = [], set()
    for path, board in load():
        wrong = {
            "id": board["id"] is not None, "uid": not board["uid"] or board["uid"] in uids,
            "editable": board["editable"] is not False, "schemaVersion": board["schemaVersion"] < 39,
            "refresh": board["refresh"] not in ("30s", "1m", "5m"), "timezone": board["timezone"] != "utc",
            "__inputs": "__inputs" in board, "size": path.stat().st_size > 500_000,
        }
        uids.add(board["uid"])
        problems += [f"{path.stem}: {key}" for key, bad in wrong.items() if bad]
        names = {one["name"] for one in board["templating"]["list"]}
        if not {"prometheus_datasource", "loki_datasource"} <= names:
            problems.append(f"{path.stem}: its data sources are not variables")
        places = set()
        for panel in board["panels"]:
            problems += [f"{path.stem}: {panel['title']}: {what}" for what in panel_faults(panel)]
            grid = panel["gridPos"]
            cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
            if places & cells or grid["x"] + grid["w"] > 24:
                problems.append(f"{path.stem}: {panel['title']}: lies over another, or beyond the edge")
            places |= cells
    return problems


def panel_faults(panel):
    if panel["type"] == "row":
        return
    if not panel.get("description"):
        yield "no description"
    defaults = panel["fieldConfig"]["defaults"]
    if not defaults.get("unit") or not defaults.get("noValue"):
        yield "no unit, or no text for no data"
    for target in panel["targets"]:
        source = target["datasource"]
        if SOURCES.get(source["uid"]) != source["type"]:
            yield f"data source {source['uid']}"
        ranges = re.findall(r"\b(?:rate|increase)\([^\[]*\[([^\]]+)\]", target["expr"])
        if source["type"] == "prometheus" and not set(ranges) <= {"$__rate_interval", "24h"}:
            yield f"a rate over {ranges}"


def promql():
    rules = [{"record": f"dashboard:query_{i}", "expr": query} for i, (_, query) in enumerate(queries("prometheus"))]
    print(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}, width=10_000))


def selected(query):
    """Metric names of a query: what is left without strings, matchers, groupings, functions and numbers."""
    query = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", query)
    query = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", query)
    words = re.findall(r"(?<![\w.:])([a-zA-Z_:][\w:]*)(?!\s*\(|[\w:])", query)
    return set(words) - {"by", "and", "or", "unless", "bool", "offset", "on"}


def metrics():
    asked, made = set(), {"up", "ALERTS"}
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                asked |= selected(rule["expr"])
                made.add(rule.get("record"))
    for _, query in queries("prometheus"):
        asked |= selected(query)
    # etl_… is compared with the code's own table by the test suite.
    foreign = {name for name in asked - made if not name.startswith("etl_")}
    listed = {line.split("#")[0].strip() for line in LISTED.read_text().splitlines()} - {""}
    return [f"not in {LISTED.name}: {name}" for name in sorted(foreign - listed)] + [
        f"nobody asks for it: {name}" for name in sorted(listed - foreign)]


def main():
    what = sys.argv[1]
    if what == "promql":
        return promql()
    if what == "logql":
        return print(json.dumps({f"{i} {place}": query for i, (place, query) in enumerate(queries("loki"))}))
    problems = {"conventions": conventions, "metrics": metrics}[what]()
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


main()
