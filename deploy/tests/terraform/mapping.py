"""What a Kubernetes object is in the Terraform provider's typed resources, and how that is printed.

A block is a list of dicts, an attribute anything else; maps such as labels are of class Map.
"""

import re


class Map(dict):
    """A map attribute, `labels = { … }`, as opposed to a block, `metadata { … }`."""


class Expression(str):
    """HCL that is printed as it is."""


RESOURCES = {
    "CronJob": "kubernetes_cron_job_v1",
    "DaemonSet": "kubernetes_daemon_set_v1",
    "Deployment": "kubernetes_deployment_v1",
    "Job": "kubernetes_job_v1",
    "StatefulSet": "kubernetes_stateful_set_v1",
}

# Lists of objects: the provider repeats a block of the singular name.
SINGULAR = {
    "containers": "container",
    "env": "env",
    "options": "option",
    "ports": "port",
    "tolerations": "toleration",
    "volumeClaimTemplates": "volume_claim_template",
    "volumeMounts": "volume_mount",
    "volumes": "volume",
}
RENAMED = {"timeZone": "timezone"}
MAPS = {"annotations", "labels", "limits", "matchLabels", "nodeSelector", "requests"}

# Not in every version from 2.21 on (podFailurePolicy came with 2.26, the claims' retention with 2.25),
# or in none (podReplacementPolicy). A StatefulSet's claims are retained by default.
LEFT_OUT = {"podFailurePolicy", "podReplacementPolicy", "persistentVolumeClaimRetentionPolicy"}


def snake(name):
    return RENAMED.get(name) or re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def convert(value, kind):
    """One level of an object as the provider has it."""
    out = {}
    for key, item in value.items():
        if key in LEFT_OUT:
            continue
        if key == "updateStrategy" and kind == "DaemonSet":
            key = "strategy"
        if key == "defaultMode":
            out["default_mode"] = f"{item:04o}"
        elif key in MAPS:
            out[snake(key)] = Map(item)
        elif key in SINGULAR and item and isinstance(item[0], dict):
            out[SINGULAR[key]] = [convert(each, kind) for each in item]
        elif isinstance(item, dict):
            out[snake(key)] = [convert(item, kind)]
        else:
            out[snake(key)] = item
    return out


def resource(manifest):
    """The resource that gives this workload."""
    return {
        "metadata": [convert(manifest["metadata"], manifest["kind"])],
        "spec": [convert(manifest["spec"], manifest["kind"])],
    }


def literal(value):
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        one_line = "[" + ", ".join(literal(each) for each in value) + "]"
        return one_line if len(one_line) < 90 else "[\n" + "".join(f"{literal(each)},\n" for each in value) + "]"
    if isinstance(value, Map):
        pairs = (f"{key if re.fullmatch('[a-z_]+', key) else literal(key)} = {literal(item)}" for key, item in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${") + '"'
    return str(value)


def lines(block):
    """HCL of a block's inside, to be formatted by `terraform fmt`."""
    for key, value in block.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for each in value:
                yield f"{key} {{"
                yield from lines(each)
                yield "}"
        else:
            yield f"{key} = {literal(value)}"
