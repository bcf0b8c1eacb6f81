"""The registered model outside this process: loaded by MLflow alone, served over HTTP, kept by a server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from neuroinspect.adapters.mlflow_registry import MlflowRegistry
from neuroinspect.adapters.mlflow_tracker import MlflowTracker
from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.classifier import load_classifier
from neuroinspect.export import export_edited_model
from neuroinspect.machinery import Machinery
from neuroinspect.settings import ModelSettings
from tests.adapters.mlflow_runs import registered, remembered

BIN = Path(sys.executable).parent
LOAD = """
import sys, numpy, mlflow.pyfunc
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
numpy.save(sys.argv[4], model.predict(numpy.load(sys.argv[3])))
"""


@pytest.fixture(scope="module")
def store(finished, new_store, tmp_path_factory) -> Machinery:
    machinery = new_store(tmp_path_factory.mktemp("models"))
    take(machinery, finished)
    return machinery


def take(machinery: Machinery, finished) -> str:
    tracked = MlflowTracker(machinery).track(finished.run, finished.params)
    return MlflowRegistry(machinery).register(finished.run, finished.params, tracked=tracked).uri


def pictures() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 3, 64, 64)).astype(np.float32)


def logits_of_apply(finished, folder: Path) -> np.ndarray:
    weights = folder / "applied.safetensors"
    export_edited_model(RunFolder(finished.run), finished.params, weights)
    classifier = load_classifier(finished.params.model.spec, weights=weights, device="cpu")
    return classifier(torch.from_numpy(pictures())).numpy()


@contextmanager
def server(arguments: list[str], health: str, *, folder: Path) -> Iterator[None]:
    """A command of MLflow, from its first healthy answer on."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [str(BIN / "mlflow"), *arguments],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 180
            while not answers(health):
                assert process.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.2)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as response:
            return response.status == 200
    except (URLError, OSError):
        return False


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_candidate_loads_in_a_fresh_process_and_gives_the_logits_of_apply(finished, store, tmp_path):
    np.save(tmp_path / "pictures.npy", pictures())
    [(name, _, _)] = registered(store)["versions"]
    words = [store.mlflow_store, f"models:/{name}@candidate", tmp_path / "pictures.npy", tmp_path / "logits.npy"]
    subprocess.run([sys.executable, "-c", LOAD, *map(str, words)], check=True, cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), logits_of_apply(finished, tmp_path))


def test_nothing_in_the_artifact_is_pickled(store):
    [model] = (store.mlflow_artifacts / "models").iterdir()
    files = [path for path in model.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {"", ".json", ".py", ".safetensors", ".txt", ".yaml"}
    described = (model / "artifacts" / "MLmodel").read_text()
    assert "loader_module: mlflow.pyfunc.loaders.code_model" in described
    assert "python_model:" not in described


def test_the_artifact_says_what_goes_in_and_what_it_needs(finished, store):
    [requirements] = store.mlflow_artifacts.rglob("requirements.txt")
    needed = requirements.read_text().splitlines()
    assert {"torch", "safetensors", "neuroinspect", "mlflow"} <= {line.partition("==")[0] for line in needed}
    assert all("==" in line for line in needed)
    [package] = store.mlflow_artifacts.rglob("architecture.json")
    architecture = read_json(package)
    classifier = load_classifier(finished.params.model.spec, weights=finished.params.model.weights, device="cpu")
    assert architecture["parent_fingerprint"] == classifier.fingerprint != architecture["fingerprint"]
    assert tuple(architecture["class_names"]) == classifier.class_names
    edited, parent = load_file(package.with_name("model.safetensors")), classifier.module.state_dict()
    changed = {name for name in parent if not torch.equal(edited[name], parent[name])}
    assert changed <= {"classifier.weight", "classifier.bias"} != set()
    assert architecture["decision_layer"]["name"] == "classifier"
    example = json.loads(next(store.mlflow_artifacts.rglob("input_example.json")).read_text())
    assert np.shape(example) == (2, 3, 64, 64)


@pytest.mark.slow
def test_a_served_candidate_answers_with_the_logits_of_apply(finished, store, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.mlflow_store)
    [(name, _, _)] = registered(store)["versions"]
    port = free_port()
    words = ["models", "serve", "-m", f"models:/{name}@candidate", "--env-manager", "local", "--port", str(port)]
    with server([*words, "--host", "127.0.0.1"], f"http://127.0.0.1:{port}/ping", folder=tmp_path):
        question = Request(
            f"http://127.0.0.1:{port}/invocations",
            data=json.dumps({"inputs": pictures().tolist()}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urlopen(question, timeout=60) as response:
            answer = json.load(response)
    np.testing.assert_allclose(answer["predictions"], logits_of_apply(finished, tmp_path), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_server_keeps_the_same_as_a_local_store_and_gives_it_back(finished, store, tmp_path, monkeypatch):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = ["server", "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--workers", "1"]
    words += ["--artifacts-destination", str(tmp_path / "kept"), "--host", "127.0.0.1", "--port", str(port)]
    machinery = Machinery(state=tmp_path / "state", mlflow_url=url)
    with server(words, f"{url}/health", folder=tmp_path):
        uri = take(machinery, finished)
        assert take(machinery, finished) == uri
        model = MlflowRegistry(machinery).resolve(uri)
        there, here = remembered(machinery, files=False), remembered(store, files=False)
        known, local = registered(machinery, files=False), registered(store, files=False)
    assert there == here
    assert known == local
    logits = loaded(model)(torch.from_numpy(pictures())).numpy()
    np.testing.assert_array_equal(logits, logits_of_apply(finished, tmp_path))
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["models"]


def loaded(model: ModelSettings):
    return load_classifier(model.spec, weights=model.weights, num_classes=model.num_classes, device="cpu")
