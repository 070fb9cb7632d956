"""Print what an image of the service installs: `python3 deploy/requirements.py cpu|gpu`.

The wheels of faiss-cpu and faiss-gpu bring the same module, and pip would let the one overwrite the other's files: the
gpu target takes its FAISS from the extra `gpu` and leaves out the one that `serve` names.
"""

import sys
import tomllib
from pathlib import Path

EXTRAS = {"cpu": ("serve", "audit", "traces"), "gpu": ("serve", "audit", "traces", "gpu")}


def requirements(pyproject: Path, target: str) -> list[str]:
    """List the requirements of the service, for one target, sorted and without repeats."""
    project = tomllib.loads(pyproject.read_text())["project"]
    wanted = {*project["dependencies"]}
    for extra in EXTRAS[target]:
        wanted.update(project["optional-dependencies"][extra])
    if target == "gpu":
        wanted = {line for line in wanted if not line.startswith("faiss-cpu")}
    return sorted(wanted)


if __name__ == "__main__":
    print("\n".join(requirements(Path("pyproject.toml"), sys.argv[1])))
