#!/usr/bin/env python3
"""What the tests noticed of the mutants that scripts/mutants made.

    scripts/mutants-report.py [--partly] DIRECTORY ...   of these runs of cargo-mutants
    scripts/mutants-report.py --check                    whether each file of .cargo/mutants.toml is there

Prints what was missed, writes docs/measured/mutants.json and the table of docs/reliability.md (not --partly),
and fails if less than 95 % of the mutants that compile were caught. One that took too long was not caught.
"""

import json
import pathlib
import re
import sys

CONFIG = pathlib.Path(".cargo/mutants.toml")
FIGURES = pathlib.Path("docs/measured/mutants.json")
PAGE = pathlib.Path("docs/reliability.md")
BEGIN, END = "<!-- from docs/measured/mutants.json by scripts/mutants; do not edit -->", "<!-- end of the mutants -->"
KINDS = {"CaughtMutant": "caught", "MissedMutant": "missed", "Timeout": "timeout", "Unviable": "unviable"}
LEAST = 95.0


def listed():
    """The files that the configuration names, each with its area: the comment above it."""
    block = re.search(r"^examine_globs = \[\n(.*?)^\]", CONFIG.read_text(), re.DOTALL | re.MULTILINE)
    files, area = {}, None
    for line in block.group(1).splitlines():
        line = line.strip()
        if line.startswith("#"):
            area = line.lstrip("# ")
        else:
            files[line.strip('",')] = area
    return files


def share(counts):
    """Caught, in percent of those that compile."""
    viable = counts["caught"] + counts["missed"] + counts["timeout"]
    return 100.0 * counts["caught"] / viable if viable else 100.0


def outcomes(directories):
    """The kind, the file and the name of each mutant."""
    for directory in directories:
        found = json.loads((pathlib.Path(directory) / "mutants.out/outcomes.json").read_text())
        for outcome in found["outcomes"]:
            if outcome["scenario"] != "Baseline":
                mutant = outcome["scenario"]["Mutant"]
                yield KINDS[outcome["summary"]], mutant["file"], mutant["name"]


def table(modules, total):
    areas = {}
    for module in modules:
        counts = areas.setdefault(module["area"], dict.fromkeys(KINDS.values(), 0) | {"files": 0})
        counts["files"] += 1
        for kind in KINDS.values():
            counts[kind] += module[kind]
    rows = ["| modules | files | mutants that compile | caught | missed | too slow | caught, % |", "|---|---|---|---|---|---|---|"]
    for area, counts in [*areas.items(), ("all", total | {"files": len(modules)})]:
        viable = counts["caught"] + counts["missed"] + counts["timeout"]
        rows.append(
            f"| {area} | {counts['files']} | {viable} | {counts['caught']} | {counts['missed']} "
            f"| {counts['timeout']} | {share(counts):.1f} |"
        )
    return "\n".join(rows)


def write(modules, total):
    FIGURES.write_text(json.dumps({"total": total | {"caught_percent": round(share(total), 1)}, "modules": modules}, indent=2) + "\n")
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{table(modules, total)}\n{END}{after}")


def report(directories, partly):
    files = listed()
    modules = {file: {"file": file, "area": area} | dict.fromkeys(KINDS.values(), 0) for file, area in files.items()}
    for kind, file, name in outcomes(directories):
        modules[file][kind] += 1
        if kind in ("missed", "timeout"):
            print(f"{kind}: {name}")
    modules = [module for module in modules.values() if not partly or any(module[kind] for kind in KINDS.values())]
    total = {kind: sum(module[kind] for module in modules) for kind in KINDS.values()}
    print(table(modules, total))
    idle = [module["file"] for module in modules if not any(module[kind] for kind in KINDS.values())]
    if idle:
        print(f"no mutant of {', '.join(idle)} was tried: nothing is written")
        return 1
    if not partly:
        write(modules, total)
    return 0 if share(total) >= LEAST else 1


def check():
    missing = [file for file in listed() if not pathlib.Path(file).is_file()]
    for file in missing:
        print(f"{CONFIG}: there is no {file}")
    return 1 if missing else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments == ["--check"]:
        sys.exit(check())
    partly = "--partly" in arguments
    sys.exit(report([argument for argument in arguments if argument != "--partly"], partly))
