"""The core without the extras: no module of it may load a tool of the pipeline, the web or Dask."""

import json
import subprocess
import sys

EXTRAS = {
    "prefect",
    "mlflow",
    "dvc",
    "great_expectations",
    "sqlalchemy",
    "fastapi",
    "uvicorn",
    "dask",
    "distributed",
    "cryptography",
}
EVERYTHING = """
import importlib, json, sys
from pathlib import Path
import neuroinspect
root = Path(neuroinspect.__file__).parent
for file in sorted(root.rglob("*.py")):
    inner = file.relative_to(root).with_suffix("").parts
    if inner[0] not in {"adapters", "web"} and inner[-1] != "__init__":
        importlib.import_module(".".join(("neuroinspect", *inner)))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
NOTHING_BUT_THE_NAME = """
import json, sys
import neuroinspect
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded(program: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_no_module_of_the_core_loads_an_extra():
    modules = loaded(EVERYTHING)
    assert "torch" in modules
    assert not modules & EXTRAS


def test_importing_the_package_alone_loads_nothing_heavy():
    assert not loaded(NOTHING_BUT_THE_NAME) & (EXTRAS | {"torch", "pandas", "timm", "open_clip", "matplotlib", "scipy"})
