//! Dashboards and rules ask only for metrics that exist.

use std::collections::{BTreeMap, BTreeSet};

use etl_core::metrics::INSTRUMENTS;
use promql_parser::parser::{self, Expr};
use serde::Deserialize;
use serde_json::Value;

use super::{files, read};

/// Names that the programs around ours export, each looked up in its documentation.
const EXTERNAL: &str = "tests/external-metrics.txt";

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

fn rules() -> Vec<Rule> {
    let groups = files("monitoring/rules", ".rules.yml").into_iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        serde_saphyr::from_str::<RuleFile>(&text).unwrap().groups
    });
    groups.flat_map(|group| group.rules).collect()
}

/// What Grafana would put in the place of its variables.
fn filled_in(expr: &str) -> String {
    let mut text = expr.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "5m"),
        ("$__interval", "1m"),
        ("${__range}", "1h"),
        ("$__range_s", "3600"),
        ("$__range", "1h"),
    ] {
        text = text.replace(variable, value);
    }
    text
}

/// The metrics that an expression selects.
fn selected(expr: &str) -> Result<BTreeSet<String>, String> {
    let parsed = parser::parse(&filled_in(expr)).map_err(|error| format!("{expr}: {error}"))?;
    let mut names = BTreeSet::new();
    walk(&parsed, &mut names);
    Ok(names)
}

fn walk(expr: &Expr, names: &mut BTreeSet<String>) {
    match expr {
        Expr::VectorSelector(selector) => names.extend(selector.name.clone()),
        Expr::MatrixSelector(selector) => names.extend(selector.vs.name.clone()),
        Expr::Aggregate(aggregate) => {
            walk(&aggregate.expr, names);
            aggregate.param.iter().for_each(|param| walk(param, names));
        }
        Expr::Unary(unary) => walk(&unary.expr, names),
        Expr::Binary(binary) => {
            walk(&binary.lhs, names);
            walk(&binary.rhs, names);
        }
        Expr::Paren(paren) => walk(&paren.expr, names),
        Expr::Subquery(subquery) => walk(&subquery.expr, names),
        Expr::Call(call) => call.args.args.iter().for_each(|argument| walk(argument, names)),
        _ => {}
    }
}

fn known() -> BTreeSet<String> {
    let mut known: BTreeSet<String> = read(EXTERNAL)
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    known.extend(rules().into_iter().filter_map(|rule| rule.record));
    // What Prometheus itself makes of scrapes and alerts.
    known.extend(["up", "ALERTS"].map(str::to_owned));
    for instrument in INSTRUMENTS {
        known.insert(instrument.prometheus.to_owned());
        if instrument.kind == "histogram" {
            known.extend(
                ["bucket", "sum", "count"].map(|part| format!("{}_{part}", instrument.prometheus)),
            );
        }
    }
    known
}

/// Every query of every panel and variable: (dashboard and panel, data source type, expression).
fn queries() -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for path in files("monitoring/grafana/dashboards", ".json") {
        let text = std::fs::read_to_string(&path).unwrap();
        let dashboard: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = dashboard["title"].as_str().unwrap().to_owned();
        collect(&dashboard["panels"], &name, &mut all);
    }
    all
}

fn collect(panels: &Value, place: &str, all: &mut Vec<(String, String, String)>) {
    for panel in panels.as_array().into_iter().flatten() {
        let place = format!("{place} / {}", panel["title"].as_str().unwrap_or("?"));
        collect(&panel["panels"], &place, all);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let source =
                target["datasource"]["type"].as_str().or(panel["datasource"]["type"].as_str());
            let expr = target["expr"].as_str().unwrap_or_default();
            all.push((place.clone(), source.unwrap_or_default().to_owned(), expr.to_owned()));
        }
    }
}

fn unknown(of: &str, expr: &str, known: &BTreeSet<String>) -> Vec<String> {
    match selected(expr) {
        Ok(names) => names
            .iter()
            .filter(|name| !known.contains(*name))
            .map(|name| format!("{of}: {name} is exported by nothing"))
            .collect(),
        Err(problem) => vec![format!("{of}: does not parse: {problem}")],
    }
}

#[test]
fn dashboards_ask_for_metrics_that_exist() {
    let known = known();
    let queries = queries();
    let prometheus = queries.iter().filter(|(_, source, _)| source == "prometheus");
    let problems: Vec<_> =
        prometheus.clone().flat_map(|(place, _, expr)| unknown(place, expr, &known)).collect();
    assert!(prometheus.count() > 30, "hardly any queries were found");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn rules_ask_for_metrics_that_exist_and_say_what_to_do() {
    let known = known();
    let mut problems = Vec::new();
    for rule in rules() {
        let name = rule.record.clone().or_else(|| rule.alert.clone()).unwrap();
        problems.extend(unknown(&name, &rule.expr, &known));
        let Some(alert) = rule.alert else { continue };
        for annotation in ["summary", "description", "runbook_url"] {
            if !rule.annotations.contains_key(annotation) {
                problems.push(format!("{alert}: no {annotation}"));
            }
        }
        if !matches!(
            rule.labels.get("severity").map(String::as_str),
            Some("critical" | "warning" | "info" | "none")
        ) {
            problems.push(format!("{alert}: no severity"));
        }
        let runbook = rule.annotations.get("runbook_url").cloned().unwrap_or_default();
        let page = format!("../docs/runbooks/{alert}.md");
        if !runbook.ends_with(&format!("docs/runbooks/{alert}.md"))
            || !super::deploy(&page).exists()
        {
            problems.push(format!(
                "{alert}: its runbook_url does not lead to docs/runbooks/{alert}.md"
            ));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn each_of_our_ledger_metrics_is_shown_somewhere() {
    let mut shown = BTreeSet::new();
    for (_, source, expr) in queries() {
        if source == "prometheus" {
            shown.extend(selected(&expr).unwrap());
        }
    }
    for rule in rules() {
        shown.extend(selected(&rule.expr).unwrap());
    }
    let unseen: Vec<_> = INSTRUMENTS
        .iter()
        .map(|one| one.prometheus)
        .filter(|name| name.starts_with("etl_ledger_") && !shown.contains(*name))
        .collect();
    assert!(unseen.is_empty(), "nobody looks at {unseen:?}");
}

#[test]
fn control_a_metric_with_a_typing_error_is_found() {
    let problems =
        unknown("control", "rate(etl_ledger_row_total{kind=\"read\"}[$__rate_interval])", &known());
    assert_eq!(problems, ["control: etl_ledger_row_total is exported by nothing"]);
    assert!(
        unknown("control", "sum by (pipeline (etl_rows_total)", &known())[0]
            .contains("does not parse")
    );
}
