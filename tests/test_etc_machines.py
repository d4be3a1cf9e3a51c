"""etc/haproxy.cfg and etc/kubernetes.yaml, as far as they can be tried without a cluster."""

import re
import subprocess
import tomllib
from pathlib import Path

import foreign
import pytest
import servers
import yaml
from node import Pacs
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from daemon import config
from daemon.config import Node

ETC = Path(__file__).parents[1] / "etc"


def proxied(machines: list[int], port: int) -> str:
    """The example with our ports in place of its addresses, let in from loopback."""
    text = (ETC / "haproxy.cfg").read_text(encoding="utf-8")
    text = text.replace("bind :104", f"bind 127.0.0.1:{port}").replace("10.0.0.0/8", "127.0.0.0/8")
    text = text.replace("bind :2762", f"bind 127.0.0.1:{servers.free_port()}")
    text = re.sub(r"default-server port 11112 check inter 5s", "default-server check inter 200ms", text)
    for number, machine in enumerate(machines, 1):
        text = text.replace(f"192.0.2.1{number}:11112", f"127.0.0.1:{machine}")
    return text


def test_haproxy_spreads_associations_and_goes_round_a_machine_that_is_away(tmp_path):
    haproxy = foreign.require("/usr/sbin/haproxy", "haproxy")
    example = subprocess.run(
        [haproxy, "-c", "-f", ETC / "haproxy.cfg"], capture_output=True, text=True, check=False
    )
    assert (example.returncode, "warning" in example.stderr.lower()) == (0, False), example.stderr
    receivers, port = [Pacs(), Pacs(), Pacs()], servers.free_port()
    path = tmp_path / "haproxy.cfg"
    path.write_text(proxied([one.port for one in receivers], port), encoding="utf-8")
    ae = AE()
    ae.add_requested_context(Verification)

    def associate():
        assoc = ae.associate("127.0.0.1", port)
        return assoc if assoc.is_established else None

    proxy = subprocess.Popen([haproxy, "-db", "-f", path], stdout=subprocess.DEVNULL)
    try:
        servers.wait_until(lambda: servers.accepts(port), what="the proxy's port")
        servers.wait_until(associate, what="the proxy's first association").release()
        open_at_once = [associate() for _ in range(3)]
        servers.wait_until(lambda: all(one.associations for one in receivers), what="one each")
        for assoc in open_at_once:
            assert assoc.send_c_echo().Status == 0
            assoc.release()
        before = [one.associations for one in receivers]
        receivers[0].close()
        for _ in range(6):
            assoc = servers.wait_until(associate, what="another machine")
            assert assoc.send_c_echo().Status == 0
            assoc.release()
        assert receivers[0].associations == before[0]
    finally:
        servers.end(proxy)
        for one in receivers[1:]:
            one.close()


def test_haproxy_waits_longer_than_firstread_does():
    text = (ETC / "haproxy.cfg").read_text(encoding="utf-8")
    for side in ("client", "server", "tunnel"):
        (seconds,) = re.findall(rf"timeout {side} +(\d+)s", text)
        assert int(seconds) > max(Node().idle_timeout_seconds, Node().dimse_timeout_seconds)
    assert set(re.findall(r"maxconn (\d+) on-marked", text)) == {str(Node().most_associations)}


@pytest.fixture(scope="module")
def cluster() -> list[dict]:
    return list(yaml.safe_load_all((ETC / "kubernetes.yaml").read_text(encoding="utf-8")))


def pods(cluster):
    return {
        one["metadata"]["name"]: one["spec"]["template"]
        for one in cluster
        if one["kind"] in ("Deployment", "StatefulSet")
    }


def test_the_clusters_config_is_one_that_firstread_takes_and_its_files_are_mounted(cluster):
    (settings,) = (one["data"]["firstread.toml"] for one in cluster if one["kind"] == "ConfigMap")
    found = config.parse(tomllib.loads(settings), "kubernetes.yaml")
    assert found.storage.bucket == ("firstread", "films")
    assert len(found.destination) == 1
    files = {
        "console" if name == "console" else "": {Path(value) for value in named}
        for name, named in (
            ("console", (found.console.certificate_file, found.console.key_file)),
            ("", (
                found.storage.database_password_file,
                found.storage.s3_access_key_file,
                found.storage.s3_secret_key_file,
            )),
        )
    }  # fmt: skip
    for role in ("receive", "read", "send", "console"):
        (container,) = pods(cluster)[role]["spec"]["containers"]
        mounted = {Path(one["mountPath"]) for one in container["volumeMounts"]}
        assert container["args"] == ["firstread", role]
        assert Path(found.storage.s3_folder).parent in mounted
        assert Path("/etc/firstread") in mounted
        for path in files[""] | (files["console"] if role == "console" else set()):
            assert path.parent in mounted


def test_no_pod_has_more_rights_than_it_needs(cluster):
    assert set(pods(cluster)) == {"database", "receive", "read", "send", "console"}
    for name, pod in pods(cluster).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        volumes = {one["name"] for one in spec["volumes"]} | ({"jobs"} if name == "database" else set())
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {one["name"] for one in container["volumeMounts"]} == volumes
            assert "memory" in container["resources"]["limits"]
            has_gpu = "nvidia.com/gpu" in container["resources"]["limits"]
            assert has_gpu == (name == "read")
            assert not [
                one
                for one in container.get("env", ())
                if "PASSWORD" in one["name"] and "FILE" not in one["name"]
            ]


def test_every_service_leads_to_a_port_of_a_pod(cluster):
    services = [one["spec"] for one in cluster if one["kind"] == "Service"]
    assert len(services) == 3
    for one in services:
        (pod,) = (pod for pod in pods(cluster).values() if pod["metadata"]["labels"] == one["selector"])
        ports = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in one["ports"]} <= ports
