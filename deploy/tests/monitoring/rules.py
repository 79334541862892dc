"""Checks on the rule files that promtool does not make.

rules.py alerts                    labels, runbooks, and tests that fire and that do not
rules.py mutants PROMTOOL DIR      each alert changed in several ways: its tests have to fail
rules.py without-discovery         prometheus.yml on stdout, with static targets in place of Kubernetes'
"""
import copy
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
RULES = ROOT / "deploy/monitoring/rules"
RUNBOOKS = ROOT / "docs/runbooks"
FILES = ["etl", "platform"]


def load(path):
    return yaml.safe_load(path.read_text())


def alerts(rules):
    return [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]


def tested(file):
    """The alerts of a test file that fire somewhere, and those that are silent somewhere."""
    fires, silent = set(), set()
    for world in load(RULES / f"{file}.rules.test.yml")["tests"]:
        for case in world.get("alert_rule_test", []):
            (fires if case["exp_alerts"] else silent).add(case["alertname"])
    return fires, silent


def check_alerts():
    problems, names = [], set()
    for file in FILES:
        fires, silent = tested(file)
        for rule in alerts(load(RULES / f"{file}.rules.yml")):
            name, notes = rule["alert"], rule["annotations"]
            names.add(name)
            if rule["labels"].get("severity") not in ("critical", "warning", "none"):
                problems.append(f"{name}: severity")
            problems += [f"{name}: no {key}" for key in ("summary", "description") if not notes.get(key)]
            if notes["runbook_url"] != f"{{{{ $externalLabels.repository }}}}/docs/runbooks/{name}.md":
                problems.append(f"{name}: runbook_url is {notes['runbook_url']}")
            if not (RUNBOOKS / f"{name}.md").is_file():
                problems.append(f"{name}: no docs/runbooks/{name}.md")
            if name not in fires:
                problems.append(f"{name}: no test in which it fires")
            # The Watchdog is never silent; that is what it is for.
            if name not in silent and name != "Watchdog":
                problems.append(f"{name}: no test in which it is silent")
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    problems += [f"docs/runbooks/{page}.md: no such alert" for page in sorted(pages - names)]
    return problems


def turned(expr):
    """The first comparison with a number, the other way round."""
    swap = {">": "<=", "<": ">=", ">=": "<", "==": "!="}
    return re.sub(r" (>=|==|>|<) (?=[\d.]+\)?$)", lambda m: f" {swap[m[1]]} ", expr.strip(), count=1, flags=re.M)


def mutants(rule):
    """(what was done, the changed rule) for each way to spoil an alert."""
    never = copy.deepcopy(rule)
    never["expr"] = f"({rule['expr']}) and (vector(1) == 2)"
    yield "never true", never
    other = copy.deepcopy(rule)
    other["expr"] = turned(rule["expr"])
    if other["expr"] != rule["expr"].strip():
        yield "comparison turned", other
    if "for" in rule:
        hasty = copy.deepcopy(rule)
        del hasty["for"]
        yield "without for", hasty
        late = copy.deepcopy(rule)
        late["for"] = "3h"
        yield "for 3h", late


def only(tests, alert):
    """The tests of one alert: the others would take most of the time."""
    worlds = []
    for world in tests["tests"]:
        cases = [case for case in world.get("alert_rule_test", []) if case["alertname"] == alert]
        if cases:
            worlds.append({**world, "alert_rule_test": cases})
    return {**tests, "tests": worlds}


def check_mutants(promtool, work):
    problems = []
    for file in FILES:
        rules = load(RULES / f"{file}.rules.yml")
        tests = load(RULES / f"{file}.rules.test.yml")
        test = pathlib.Path(work, f"{file}.rules.test.yml")
        count = 0
        for rule in alerts(rules):
            original = copy.deepcopy(rule)
            test.write_text(yaml.safe_dump(only(tests, rule["alert"]), width=10_000))
            for what, mutant in mutants(original):
                rule.clear()
                rule.update(mutant)
                pathlib.Path(work, f"{file}.rules.yml").write_text(yaml.safe_dump(rules, width=10_000))
                count += 1
                if subprocess.run([promtool, "test", "rules", str(test)], capture_output=True).returncode == 0:
                    problems.append(f"{original['alert']} {what}: its tests still pass")
            rule.clear()
            rule.update(original)
        test.write_text(yaml.safe_dump(tests, width=10_000))
        pathlib.Path(work, f"{file}.rules.yml").write_text(yaml.safe_dump(rules, width=10_000))
        if subprocess.run([promtool, "test", "rules", str(test)], capture_output=True).returncode != 0:
            problems.append(f"{file}: the unchanged copy fails, so the mutants prove nothing")
        print(f"{file}: {count} mutants")
    return problems


def without_discovery():
    config = load(ROOT / "deploy/monitoring/prometheus/prometheus.yml")
    for job in config["scrape_configs"]:
        if job.pop("kubernetes_sd_configs", None):
            job["static_configs"] = [{"targets": ["example:1"]}]
    print(yaml.safe_dump(config))


def main():
    what, *rest = sys.argv[1:]
    if what == "without-discovery":
        return without_discovery()
    problems = check_alerts() if what == "alerts" else check_mutants(*rest)
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


main()
