#!/usr/bin/env python3
"""Every public function that waits says what happens if the caller stops waiting.

    scripts/api-docs.py target/doc/etl_core.json ...

Reads rustdoc's JSON, so what is not public does not count. The sentence, with the word "dropped", stands at
the function or at the trait or type that it belongs to. That errors and panics are told, clippy checks.
"""

import json
import re
import sys

SAYS = re.compile(r"\bdropp(?:ed|ing)\b", re.IGNORECASE)


def waits(function):
    """Whether it is `async`, or what `async_trait` makes of that: a boxed future."""
    if function["header"]["is_async"]:
        return True
    output = json.dumps(function["sig"]["output"] or {})
    return bool(re.search(r'\bPin"', output) and re.search(r'\bFuture"', output))


def owners(index):
    """The trait or type of each associated item."""
    owner = {}
    for item in index.values():
        inner = item["inner"]
        if "trait" in inner:
            members, parent = inner["trait"]["items"], item
        elif "impl" in inner and inner["impl"]["trait"] is None:
            target = inner["impl"]["for"].get("resolved_path")
            members, parent = inner["impl"]["items"], index.get(str(target["id"])) if target else None
        else:
            continue
        for member in members:
            owner[str(member)] = parent
    return owner


def of_foreign_trait(index):
    """Methods that implement a trait: its documents are theirs."""
    return {
        str(member)
        for item in index.values()
        if "impl" in item["inner"] and item["inner"]["impl"]["trait"] is not None
        for member in item["inner"]["impl"]["items"]
    }


def silent(path):
    with open(path, encoding="utf-8") as file:
        crate = json.load(file)
    index = crate["index"]
    owner, implemented = owners(index), of_foreign_trait(index)
    for number, item in index.items():
        function = item["inner"].get("function")
        if item["crate_id"] != 0 or function is None or number in implemented or not waits(function):
            continue
        parent = owner.get(number)
        docs = (item["docs"] or "") + (parent or {}).get("docs", "")
        if not SAYS.search(docs):
            place = crate["paths"].get(str((parent or {}).get("id")), {}).get("path")
            span = item["span"] or {"filename": "?", "begin": [0]}
            where = "::".join([*(place or []), item["name"]])
            yield f"{span['filename']}:{span['begin'][0]}: {where}: what if it is dropped half way?"


def main():
    found = [line for crate in sys.argv[1:] for line in silent(crate)]
    if len(sys.argv) < 2 or found:
        sys.exit("\n".join(found) or __doc__)


if __name__ == "__main__":
    main()
