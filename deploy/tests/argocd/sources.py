"""What Argo CD renders, and how.

sources.py APPS-RENDER                 name, path and component of each Application
sources.py --add KUSTOMIZATION COMPONENT   adds a component at the end, as `kustomize edit add component` does
"""

import pathlib
import sys

import yaml


def main():
    if sys.argv[1] == "--add":
        path = pathlib.Path(sys.argv[2])
        kustomization = yaml.safe_load(path.read_text())
        kustomization.setdefault("components", []).append(sys.argv[3])
        path.write_text(yaml.safe_dump(kustomization, sort_keys=False))
        return
    for application in yaml.safe_load_all(pathlib.Path(sys.argv[1]).read_text()):
        source = application["spec"]["source"]
        for component in source.get("kustomize", {}).get("components", [""]):
            print(application["metadata"]["name"], source["path"], component)


if __name__ == "__main__":
    main()
