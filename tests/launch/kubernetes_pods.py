"""What Kubernetes makes of a Job's manifest: its pods, with their variables and commands."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "launch" / "kubernetes"


@dataclasses.dataclass(frozen=True)
class Pod:
    """A pod as its process sees it.

    Attributes:
        name: its host name.
        environment: the variables of its container.
        command: the arguments of its container, variables put in.
    """

    name: str
    environment: dict[str, str]
    command: list[str]


def documents(name: str) -> list[dict[str, Any]]:
    """Returns the objects of `launch/kubernetes/NAME.yaml`."""
    return list(yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()))


def job(name: str) -> dict[str, Any]:
    (found,) = (document for document in documents(name) if document["kind"] == "Job")
    return found


def container(name: str) -> dict[str, Any]:
    (only,) = job(name)["spec"]["template"]["spec"]["containers"]
    return only


def pods(name: str) -> list[Pod]:
    """Returns the pods that the Job starts at once."""
    made, spec = job(name), job(name)["spec"]
    job_name, indexed = made["metadata"]["name"], spec.get("completionMode") == "Indexed"
    found = []
    for index in range(spec.get("parallelism", 1)):
        annotations = {"batch.kubernetes.io/job-completion-index": str(index)} if indexed else {}
        # Of every pod in a cluster, and of those of Indexed Jobs.
        environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
        environment |= {"JOB_COMPLETION_INDEX": str(index)} if indexed else {}
        for variable in container(name).get("env", []):
            environment[variable["name"]] = _value(variable, annotations, container(name)["resources"])
        host = f"{job_name}-{index}" if indexed else f"{job_name}-x{index}z"
        command = [
            re.sub(r"\$\((\w+)\)", lambda match: environment[match[1]], argument)  # noqa: B023, used at once
            for argument in container(name)["args"]
        ]
        found.append(Pod(host, environment | {"HOSTNAME": host}, command))
    return found


def _value(variable: dict[str, Any], annotations: dict[str, str], resources: dict[str, Any]) -> str:
    if "value" in variable:
        assert isinstance(variable["value"], str), f"{variable}: not a string"
        return variable["value"]
    (kind,) = variable["valueFrom"]
    source = variable["valueFrom"][kind]
    if kind == "resourceFieldRef":
        section, _, resource = source["resource"].partition(".")
        return resources[section][resource]
    match = re.fullmatch(r"metadata\.annotations\['(.+)'\]", source["fieldPath"])
    assert kind == "fieldRef"
    assert match, f"{variable}: unknown source"
    return annotations[match[1]]
