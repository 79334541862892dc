"""Reads Terraform modules far enough to compare them with manifests: literals, variables' defaults,
locals, merge(). Anything else stays the text it is."""

import pathlib
import re

import hcl2


def plain(value):
    """What python-hcl2 gives, without its quotes and marks."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items() if key not in ("__is_block__", "__comments__")}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str) and len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return value


class Module:
    """One directory of .tf files."""

    def __init__(self, directory, given):
        self.directory = pathlib.Path(directory)
        self.resources, self.modules, self.locals = {}, {}, {}
        self.variables = {}
        for path in sorted(self.directory.glob("*.tf")):
            document = plain(hcl2.loads(path.read_text()))
            for block in document.get("resource", []):
                for kind, named in block.items():
                    for name, body in named.items():
                        self.resources[kind, name] = body
            for block in document.get("module", []):
                self.modules.update(block)
            for block in document.get("locals", []):
                self.locals.update(block)
            for block in document.get("variable", []):
                for name, body in block.items():
                    self.variables[name] = body.get("default")
        self.variables.update(given)

    def value(self, value):
        """`value` with what is known put in."""
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, str) and (expression := re.fullmatch(r"\$\{(.*)\}", value, re.S)):
            return self.expression(expression[1], value)
        return value

    def expression(self, text, whole):
        if name := re.fullmatch(r"var\.(\w+)", text):
            known = self.variables.get(name[1])
            return whole if known is None else self.value(known)
        if name := re.fullmatch(r"local\.(\w+)", text):
            return self.value(self.locals[name[1]])
        if image := re.fullmatch(r'var\.images\["([^"]+)"\]', text):
            return self.variables["images"][image[1]]
        if config := re.fullmatch(r'module\.config\["([^"]+)"\]\.name', text):
            return config[1]
        if config := re.fullmatch(r"module\.(\w+)\.name", text):
            return self.modules[config[1]]["name"]
        if arguments := re.fullmatch(r"merge\((.*)\)", text, re.S):
            merged = {}
            for part in plain(hcl2.loads(f"x = [{arguments[1]}]\n"))["x"]:
                merged.update(self.value(part))
            return merged
        return whole
