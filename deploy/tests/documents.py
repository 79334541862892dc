"""Every relative link of the documents leads to a file, and to a heading in it; every test and alert that they name is
there. `documents.py FILE...`; 1 if not.
"""

import pathlib
import re
import sys


def anchors(path):
    """The headings of a document, as GitHub names them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}


def faults(path):
    text = path.read_text()
    if path.suffix == ".html":
        links = re.findall(r'href="([^"]*)"', text)
    else:
        links = re.findall(r"\]\(([^()\s]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists():
            yield f"{path}: {link} leads to no file"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            yield f"{path}: {link} leads to no heading"
        elif anchor and target.suffix == ".html" and f'id="{anchor}"' not in target.read_text():
            yield f"{path}: {link} leads to no place in the page"


def known():
    """The names of all tests and alerts."""
    code = "\n".join(path.read_text() for part in pathlib.Path(".").glob("*/Cargo.toml") for path in part.parent.rglob("*.rs"))
    rules = "\n".join(path.read_text() for path in pathlib.Path("deploy/monitoring/rules").glob("*.rules.yml"))
    return set(re.findall(r"\bfn (\w+)", code)) | set(re.findall(r"- alert: (\w+)", rules))


def strangers(path, names):
    text = path.read_text().replace("<wbr>", "")
    for name in re.findall(r"(?:`|<code class=\"t\">)((?!etl_)[a-z0-9]+(?:_[a-z0-9…]+){5,}|Etl[A-Z]\w+)(?:`|</code>)", text):
        prefix = name.removesuffix("…")
        if not any(other == name or prefix != name and other.startswith(prefix) for other in names):
            yield f"{path}: there is no test or alert {name}"


names = known()
found = [fault for name in sys.argv[1:] for fault in [*faults(pathlib.Path(name)), *strangers(pathlib.Path(name), names)]]
print("\n".join(found) or f"ok   links, tests and alerts in {len(sys.argv) - 1} documents")
sys.exit(1 if found else 0)
