"""The descriptions of clusters: against Ray's own schema and launcher, KubeRay's fields, and our rules. All offline."""

from __future__ import annotations

import copy
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from raytrain.cluster.jobs import secrets

ROOT = Path(__file__).parents[2]
PATHS = [ROOT / "cluster.yaml", ROOT / "docs" / "clusters" / "gcp.yaml", ROOT / "docs" / "clusters" / "on_premise.yaml"]
JOB = ROOT / "docs" / "clusters" / "rayjob.yaml"


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def described(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


def test_rays_own_schema_accepts_it(described: dict[str, Any]) -> None:
    """ray/autoscaler/ray-schema.json of the installed Ray; a field that it does not know is refused."""
    jsonschema = pytest.importorskip("jsonschema", reason="comes with Ray")
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
    if described["provider"]["type"] == "local":
        # the launcher turns these two into a node type before it validates; its schema knows only the result
        described.pop("min_workers")
    jsonschema.validate(described, schema)
    with pytest.raises(jsonschema.ValidationError, match="no_such_field"):
        jsonschema.validate(described | {"no_such_field": 1}, schema)


def test_the_launcher_accepts_it(described: dict[str, Any]) -> None:
    util = pytest.importorskip("ray.autoscaler._private.util", reason="Ray is not installed")
    prepared = util.prepare_config(copy.deepcopy(described))
    util.validate_config(prepared)
    most = {name: node["max_workers"] for name, node in prepared["available_node_types"].items()}
    assert sum(most.values()) == described["max_workers"]


def test_every_node_starts_with_token_authentication(described: dict[str, Any]) -> None:
    for part in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [command for command in described[part] if "ray start" in command]
        assert len(starts) == 1
        assert "RAY_AUTH_MODE=token" in starts[0]
        assert "RAY_AUTH_TOKEN_PATH=~/.ray/auth_token" in starts[0]
    assert described["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
    assert "chmod 600 ~/.ray/auth_token" in described["setup_commands"]


def test_the_dashboard_is_not_offered_to_the_network(described: dict[str, Any]) -> None:
    assert any("--dashboard-host=127.0.0.1" in command for command in described["head_start_ray_commands"])


@pytest.mark.parametrize("path", [*PATHS, JOB], ids=lambda path: path.stem)
def test_it_holds_no_secret(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert secrets.in_text(text) is None
    for word in ("aws_secret", "aws_access_key", "password", "ray_auth_token="):
        assert word not in text.lower()


def test_the_rayjob_has_only_fields_that_kuberay_knows() -> None:
    """Against a schema of the fields that are used, written from KubeRay's reference: the CRD is not at hand here."""
    jsonschema = pytest.importorskip("jsonschema", reason="comes with Ray")
    schema = json.loads((Path(__file__).parent / "rayjob_schema.json").read_text(encoding="utf-8"))
    job = read(JOB)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(job, schema)
    for place, value in (("spec.backofLimit", 1), ("spec.rayClusterSpec.authOptions.mode", "none")):
        wrong = copy.deepcopy(job)
        here: Any = wrong
        *names, last = place.split(".")
        for name in names:
            here = here[name]
        here[last] = value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_the_rayjob_asks_for_a_token_and_offers_no_dashboard() -> None:
    cluster = read(JOB)["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert not cluster["headGroupSpec"].get("enableIngress")


def test_the_rayjob_runs_our_ray_and_mounts_what_it_uses() -> None:
    cluster = read(JOB)["spec"]["rayClusterSpec"]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\nray=={cluster['rayVersion']}\n" in pins
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["resources"]["requests"] == container["resources"]["limits"]
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_the_rayjobs_commands_parse() -> None:
    from tests.command_lines import parse

    script = shlex.split(read(JOB)["spec"]["entrypoint"])[2]
    verbs = re.findall(r"raytrain (\w+) (.*?);", script)
    assert [verb for verb, _ in verbs] == ["sweep", "sweep"]
    flags = [parse([verb, *shlex.split(words)])[1] for verb, words in verbs]
    assert flags[0]["resume"] == "$S" and flags[1]["trials"] == 48
