"""Checks that the parts of an overlay are together the overlay, and what Argo CD is told about them.

check.py OVERLAY-RENDER PROJECT-RENDER APPS-RENDER ROOT PART=RENDER...
"""

import collections
import pathlib
import re
import sys

import yaml

PREFIX = "argocd.argoproj.io/"
faults = []


def load(path):
    return [manifest for manifest in yaml.safe_load_all(pathlib.Path(path).read_text()) if manifest]


def identity(manifest):
    metadata = manifest["metadata"]
    return manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def without_argo(manifest):
    """As the overlay has it: Argo CD's annotations taken off."""
    copy = yaml.safe_load(yaml.safe_dump(manifest))
    annotations = {key: value for key, value in copy["metadata"].get("annotations", {}).items() if not key.startswith(PREFIX)}
    copy["metadata"].pop("annotations", None)
    if annotations:
        copy["metadata"]["annotations"] = annotations
    return copy


def annotation(manifest, name):
    return manifest["metadata"].get("annotations", {}).get(PREFIX + name, "")


def check_parts(overlay, parts):
    seen = collections.Counter()
    whole = {identity(manifest): manifest for manifest in overlay}
    for part, manifests in parts.items():
        for manifest in manifests:
            key = identity(manifest)
            seen[key] += 1
            if without_argo(manifest) != whole.get(key):
                faults.append(f"part {part}: {'/'.join(key[1:])} is not as the overlay has it")
            check_annotations(manifest)
    for key in whole:
        if seen[key] != 1:
            faults.append(f"{'/'.join(key[1:])} is in {seen[key]} parts instead of one")


def check_annotations(manifest):
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    if kind == "Job" and (annotation(manifest, "hook"), annotation(manifest, "hook-delete-policy")) != ("Sync", "BeforeHookCreation"):
        faults.append(f"Job {name} is no hook that is replaced: a changed template would be refused")
    if kind != "Job" and annotation(manifest, "hook"):
        faults.append(f"{kind} {name} is a hook: Argo CD would not keep it")
    if kind in ("Namespace", "PersistentVolumeClaim") and "Prune=false" not in annotation(manifest, "sync-options"):
        faults.append(f"{kind} {name} could be pruned with its data")
    if kind == "CronJob" and not annotation(manifest, "sync-wave") > "1":
        faults.append(f"CronJob {name} does not wait for the preparation (wave 1)")


def check_project(projects, overlay):
    spec = next(project["spec"] for project in projects if project["kind"] == "AppProject" and project["metadata"]["name"] == "etl")
    spaces = {destination["namespace"] for destination in spec["destinations"]}
    for manifest in overlay:
        space = manifest["metadata"].get("namespace")
        group = manifest["apiVersion"].rpartition("/")[0]
        allowed = spec["namespaceResourceWhitelist" if space else "clusterResourceWhitelist"]
        if {"group": group, "kind": manifest["kind"]} not in allowed:
            faults.append(f"project etl does not admit {group}/{manifest['kind']}")
        if space and space not in spaces:
            faults.append(f"project etl does not admit namespace {space}")
    if any(entry["kind"] in ("Secret", "*") for entry in spec["namespaceResourceWhitelist"] + spec["clusterResourceWhitelist"]):
        faults.append("project etl admits Secrets: they do not belong into git")


def check_applications(applications, available):
    used = []
    waves = {}
    for application in applications:
        name, spec = application["metadata"]["name"], application["spec"]
        used += [path.rpartition("/")[2] for path in spec["source"].get("kustomize", {}).get("components", [])]
        waves[name] = int(annotation(application, "sync-wave") or 0)
        if not re.fullmatch(r"v\d+\.\d+\.\d+.*|[0-9a-f]{40}", spec["source"]["targetRevision"]):
            faults.append(f"Application {name} follows {spec['source']['targetRevision']}: pin a tag or a commit")
        if "ServerSideApply=true" not in spec["syncPolicy"].get("syncOptions", ["ServerSideApply=true"]):
            faults.append(f"Application {name} does not apply server-side")
        if spec["project"] == "default":
            faults.append(f"Application {name} is in project default")
    if sorted(used) != sorted(available):
        faults.append(f"the Applications use the parts {sorted(used)}; there are {sorted(available)}")
    if not waves["etl-namespaces"] < waves["etl-data"] < waves["etl-pipeline"] < waves["etl-monitoring"]:
        faults.append(f"the waves are in the wrong order: {waves}")


def main():
    overlay, projects, applications = (load(path) for path in sys.argv[1:4])
    parts = {name: load(path) for name, _, path in (argument.partition("=") for argument in sys.argv[5:])}
    check_parts(overlay, parts)
    check_project(projects, overlay)
    check_applications(applications, [path.name for path in pathlib.Path(sys.argv[4], "deploy/argocd/parts").iterdir()])
    for fault in dict.fromkeys(faults):
        print(f"FAIL {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
