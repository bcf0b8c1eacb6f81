"""A team's day with one model, step by step: each is asked for as a person would, and waits until its servers say it is done."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file

from neuroinspect import load_classifier
from neuroinspect.artifacts import RunFolder
from neuroinspect.settings import Params, load_params
from tests.team.running import RunningStack, wait

SECONDS: Final = 240
NAME: Final = "neuroinspect.demo.backbone.scene_net-whole"
# What a tiny model of a few epochs can show. The rules about parent, data and person are always asked.
POLICY: Final = {
    "worst_class_over_parent": {"least": -1.0, "low": -1.0},
    "worst_class_over_placebo": None,
    "class_auroc_over_parent": None,
    "class_auroc_over_retrain": None,
    "class_auroc_over_placebo": None,
    "average_over_parent": {"least": -1.0, "low": -1.0},
    "largest_class_loss": 1.0,
}


class WholeWay:
    """One model of its own in the project of a stack, so that what other tests decided about theirs says nothing here.

    Attributes:
        run: the run folder.
        params_file: beside that of the project.
    """

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.params_file = stack.project / "whole.yaml"
        values = yaml.safe_load(stack.params_file.read_text())
        weights = load_file(stack.project / values["model"]["weights"])
        # One mistake more or less: another model, and so another question.
        save_file(
            {**weights, "classifier.bias": weights["classifier.bias"] * 1.001}, stack.project / "whole.safetensors"
        )
        values["model"]["weights"] = "whole.safetensors"
        self.params_file.write_text(yaml.safe_dump(values))
        self.run = RunFolder(stack.project / "runs" / "whole")

    @property
    def params(self) -> Params:
        return load_params(self.params_file)

    def command(self, *words: str, code: int = 0) -> Any:
        """What one of our commands prints with `--json`."""
        line = [sys.executable, "-m", "neuroinspect", *words, "--params", str(self.params_file), "--json"]
        done = subprocess.run(
            line, cwd=self.stack.project, env=self.stack.environment, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    def flow_run(self, deployment: str, parameters: dict[str, Any]) -> Any:
        """Start a deployment as Prefect's page does, and wait for its end."""
        api = self.stack.prefect_url
        found = httpx.get(f"{api}/deployments/name/{deployment}", timeout=30).raise_for_status().json()
        asked = {"parameters": {**found["parameters"], **parameters}}
        made = httpx.post(f"{api}/deployments/{found['id']}/create_flow_run", json=asked, timeout=30)
        assert made.is_success, made.text
        return self.ended(made.json()["id"])

    def ended(self, identifier: str) -> Any:
        """A flow run that has come to its end."""
        address = f"{self.stack.prefect_url}/flow_runs/{identifier}"
        over = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        return wait(
            lambda: httpx.get(address, timeout=30).raise_for_status().json(),
            lambda one: one["state_type"] in over,
            SECONDS,
        )

    def mlflow(self, what: str, **query: Any) -> Any:
        """MLflow's answer."""
        address = f"{self.stack.mlflow_url}/api/2.0/mlflow/{what}"
        return httpx.get(address, params=query, timeout=30).raise_for_status().json()

    def aliases(self) -> dict[str, int]:
        """Alias -> version of the registered model."""
        known = self.mlflow("registered-models/get", name=NAME)["registered_model"].get("aliases", [])
        return {one["alias"]: int(one["version"]) for one in known}

    def tags(self, version: int) -> dict[str, str]:
        """Of a version."""
        found = self.mlflow("model-versions/get", name=NAME, version=version)["model_version"]
        return {tag["key"]: tag["value"] for tag in found["tags"]}

    @contextmanager
    def page(self) -> Iterator[httpx.Client]:
        """The review page, as a browser on this machine sees it."""
        with httpx.Client(base_url=self.stack.page_url, timeout=60) as client:
            shown = client.get("/reviews", headers={"Accept": "text/html"}).raise_for_status()
            token = re.search(r'name="csrf" content="([0-9a-f]+)"', shown.text)
            assert token is not None
            client.headers["X-CSRF-Token"] = token.group(1)
            yield client

    def logits(self, pictures: np.ndarray, layer: Mapping[str, torch.Tensor] | None = None) -> np.ndarray:
        """Of the model as it was, or with another decision layer."""
        model = self.params.model
        classifier = load_classifier(model.spec, weights=model.weights, device="cpu")
        with torch.no_grad():
            features, before = classifier.features_and_logits(torch.from_numpy(pictures))
            after = before if layer is None else torch.nn.functional.linear(features, layer["weight"], layer["bias"])
        return after.numpy()

    def served(self, pictures: np.ndarray) -> np.ndarray:
        """What `mlflow models serve` answers for the champion."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = ["models", "serve", "-m", f"models:/{NAME}@champion", "--env-manager", "local", "-p", str(port)]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**self.stack.environment, "MLFLOW_TRACKING_URI": self.stack.mlflow_url, "PATH": path}
        log = self.stack.project / "serve.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *words],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait(lambda: _answers(port) or server.poll() is not None, bool, SECONDS)
            asked = {"inputs": pictures.tolist()}
            answer = httpx.post(f"http://127.0.0.1:{port}/invocations", json=asked, timeout=120)
            assert answer.is_success, answer.text + log.read_text()[-3000:]
            return np.asarray(answer.json()["predictions"], dtype=np.float32)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ping", timeout=5).is_success
    except httpx.TransportError:
        return False
