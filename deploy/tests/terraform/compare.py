"""Compares deploy/terraform with what kustomize renders, object by object and field by field.

compare.py RENDER              the render of overlay k3s, as YAML
compare.py RENDER --directories       what modules/manifests reads, with the objects in it
compare.py RENDER --print KIND NAME   that workload as HCL: a start for a new one
"""

import collections
import pathlib
import re
import sys

import yaml

import hcl
import mapping

DEPLOY = pathlib.Path(__file__).resolve().parents[2]
MODULES = pathlib.Path(__file__).parents[2] / "terraform" / "modules"
LABELS = {
    "app.kubernetes.io/instance": "etl",
    "app.kubernetes.io/part-of": "etl",
    "app.kubernetes.io/managed-by": "kustomize",
}
NAMESPACE = {"etl": "etl-poc", "mssql": "etl-poc", "monitoring": "monitoring", "logging": "logging"}

# What modules/manifests and modules/namespace carry over, field by field. A field that is not listed here
# would be dropped in silence: teach the module and then this list. `*` is one step of any name.
CARRIED = {
    "ServiceAccount": ["automountServiceAccountToken"],
    "Service": ["spec.type", "spec.clusterIP", "spec.selector.*",
                *(f"spec.ports[].{field}" for field in ("name", "protocol", "port", "targetPort"))],
    "Role": [f"rules[].{field}[]" for field in ("apiGroups", "resources", "verbs")],
    "RoleBinding": [*(f"roleRef.{field}" for field in ("apiGroup", "kind", "name")),
                    *(f"subjects[].{field}" for field in ("kind", "name", "namespace"))],
    "NetworkPolicy": ["spec.policyTypes[]"],
    "Namespace": [],
    "LimitRange": ["spec.limits[].type", "spec.limits[].default.*", "spec.limits[].defaultRequest.*"],
    "ResourceQuota": ["spec.hard.*"],
}
CARRIED["ClusterRole"], CARRIED["ClusterRoleBinding"] = CARRIED["Role"], CARRIED["RoleBinding"]
SELECTOR = ["matchLabels.*", *(f"matchExpressions[].{field}" for field in ("key", "operator", "values[]"))]
CARRIED["NetworkPolicy"] += [f"spec.podSelector.{field}" for field in SELECTOR]
for side, peer in (("ingress", "from"), ("egress", "to")):
    CARRIED["NetworkPolicy"] += [
        *(f"spec.{side}[].ports[].{field}" for field in ("protocol", "port")),
        *(f"spec.{side}[].{peer}[].{kind}.{field}" for kind in ("podSelector", "namespaceSelector") for field in SELECTOR),
        f"spec.{side}[].{peer}[].ipBlock.cidr",
    ]
METADATA = ["apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.labels.*"]

faults = []


def fields(value, path=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from fields(item, f"{path}.{key.replace('.', '/')}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from fields(item, f"{path}[]")
    else:
        yield path


def is_carried(field, known):
    return any(re.fullmatch(re.escape(one).replace(r"\*", "[^.]+"), field) for one in known)


def identity(manifest):
    metadata = manifest["metadata"]
    name = re.sub(r"-[a-z0-9]{10}$", "", metadata["name"]) if manifest["kind"] == "ConfigMap" else metadata["name"]
    return manifest["kind"], metadata.get("namespace", ""), name


def manifests_of(directory, namespace):
    """The objects that modules/manifests takes from there, and a check that it takes all of each."""
    for path in sorted((DEPLOY / directory).glob("*.yaml")):
        manifest = yaml.safe_load(path.read_text())
        kind = manifest.get("kind")
        if path.name == "kustomization.yaml" or kind not in CARRIED:
            continue
        for field in fields(manifest):
            if not is_carried(field, METADATA + CARRIED[kind]):
                faults.append(f"{path.relative_to(DEPLOY.parent)}: {field} is not carried over by terraform/modules")
        scope = "" if kind.startswith("Cluster") or kind == "Namespace" else manifest["metadata"].get("namespace", namespace)
        yield kind, scope, manifest["metadata"]["name"]


def directories(module, call):
    """Those of a module call, one for each of its for_each."""
    directory = call["directory"].replace("${var.deploy}/", "").replace("${local.deploy}/", "")
    names = re.findall(r'"([^"]+)"', str(call.get("for_each", "")))
    return [directory.replace("${each.key}", name) for name in names] or [directory]


def check_config(name, files, wanted):
    """A ConfigMap has the files that kustomize puts into it."""
    manifest = wanted.get(("ConfigMap", NAMESPACE[name[0]], name[1]), {})
    if set(files) != set(manifest.get("data", {})):
        faults.append(f"ConfigMap {name[1]} has {sorted(files)}; kustomize puts in {sorted(manifest.get('data', {}))}")


def print_directories():
    """Each directory that modules/manifests reads, with every object in it."""
    for name in NAMESPACE:
        module = hcl.Module(MODULES / name, {})
        for call in module.modules.values():
            if call["source"] != "../manifests":
                continue
            for directory in directories(module, call):
                found = []
                for path in (DEPLOY / directory).glob("*.yaml"):
                    manifest = yaml.safe_load(path.read_text())
                    if path.name != "kustomization.yaml" and "kind" in manifest:
                        space = manifest["metadata"].get("namespace", NAMESPACE[name])
                        found.append(f"{manifest['kind']}/{space}/{manifest['metadata']['name']}")
                print(directory, NAMESPACE[name], *sorted(found))


def objects_of(name, module, wanted):
    """Every object that a module makes, with the workloads' resources."""
    found, workloads = [], {}
    kinds = {resource: kind for kind, resource in mapping.RESOURCES.items()}
    for (kind, _), body in module.resources.items():
        if kind in kinds:
            key = kinds[kind], NAMESPACE[name], body["metadata"][0]["name"]
            workloads[key] = body
            found.append(key)
        elif kind == "kubernetes_service_v1":
            found.append(("Service", NAMESPACE[name], body["metadata"][0]["name"]))
        elif kind == "kubernetes_endpoints_v1":
            found.append(("EndpointSlice", NAMESPACE[name], "postgres"))
        else:
            faults.append(f"modules/{name}: {kind} is unknown to this test")
    for label, call in module.modules.items():
        if call["source"] == "../manifests":
            for directory in directories(module, call):
                found += manifests_of(directory, NAMESPACE[name])
        elif label == "config":
            for config, parts in module.locals["configs"].items():
                check_config((name, config), [pathlib.PurePath(path).name for path in parts["files"]], wanted)
                found.append(("ConfigMap", NAMESPACE[name], config))
        else:
            check_config((name, call["name"]), call["data"], wanted)
            found.append(("ConfigMap", NAMESPACE[name], call["name"]))
    return found, workloads


def same(path, wanted, found):
    """Numbers may be texts: the provider takes both."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in wanted.keys() | found.keys():
            if key not in found:
                faults.append(f"{path}.{key} is missing; the manifest has {wanted[key]!r}")
            elif key not in wanted:
                faults.append(f"{path}.{key} is not in the manifest")
            else:
                same(f"{path}.{key}", wanted[key], found[key])
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, pair in enumerate(zip(wanted, found)):
            same(f"{path}[{index}]", *pair)
    elif str(wanted) != str(found):
        faults.append(f"{path} is {found!r}; the manifest has {wanted!r}")


def compare_workload(key, body, module, manifest):
    body = {name: value for name, value in body.items()
            if name not in ("lifecycle", "depends_on", "timeouts", "wait_for_rollout", "wait_for_completion")}
    found = module.value(body)
    found["metadata"][0]["namespace"] = NAMESPACE[module.directory.name]
    wanted = mapping.resource(manifest)
    drop_hashes(wanted)
    same("/".join(key), wanted, found)


def drop_hashes(value):
    """From ConfigMaps' names: each tool makes its own."""
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict):
            drop_hashes(item)
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            drop_hashes(item)
    if isinstance(value, dict) and "config_map" in value:
        name = value["config_map"][0]["name"]
        value["config_map"][0]["name"] = re.sub(r"-[a-z0-9]{10}$", "", name)


def main():
    render = list(yaml.safe_load_all(pathlib.Path(sys.argv[1]).read_text()))
    wanted = {identity(manifest): manifest for manifest in render if manifest}
    if "--directories" in sys.argv:
        print_directories()
        return
    if "--print" in sys.argv:
        kind, name = sys.argv[3:5]
        print("\n".join(mapping.lines(mapping.resource(next(m for k, m in wanted.items() if (k[0], k[2]) == (kind, name))))))
        return
    images = {re.sub(r":[^/:]*$", "", image): image for image in re.findall(r"^ *(?:- )?image: (\S+)$", pathlib.Path(sys.argv[1]).read_text(), re.M)}
    found = []
    for space in sorted((DEPLOY / "base" / "namespaces").iterdir()):
        if space.is_dir():
            found += manifests_of(space.relative_to(DEPLOY), space.name)
    for name in NAMESPACE:
        module = hcl.Module(MODULES / name, {"labels": LABELS, "images": images})
        made, workloads = objects_of(name, module, wanted)
        found += made
        for key, body in workloads.items():
            if key in wanted:
                compare_workload(key, body, module, wanted[key])
    for key, count in collections.Counter(found).items():
        if count > 1:
            faults.append(f"{'/'.join(key)} is made {count} times")
        if key not in wanted:
            faults.append(f"{'/'.join(key)} is made by Terraform, and kustomize does not render it")
    for key in sorted(wanted.keys() - set(found)):
        faults.append(f"{'/'.join(key)} is rendered by kustomize, and Terraform does not make it")
    for fault in faults:
        print(f"FAIL {fault}", file=sys.stderr)
    print(f"terraform objects: {len(found)} passed, {len(faults)} failed")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
