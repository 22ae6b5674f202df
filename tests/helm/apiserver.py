"""A real API server of Kubernetes on loopback: etcd and kube-apiserver, without kubelets and controllers.

`.ci/apiserver` builds the two from the source of their Go modules; SHIPPER_TEST_APISERVER names the folder they lie in.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helm.tools import APISERVER, KUBECTL, Tool
from tests.servers.process import free_port, running

_TOKEN = "tests-are-admins"
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A cluster's API, as whoever has its kubeconfig sees it."""

    kubeconfig: Path

    def run(self, tool: Tool, *arguments: str | Path, text: str = "", quietly: bool = False) -> str:
        """Run helm or kubectl against it."""
        return tool.run("--kubeconfig", self.kubeconfig, *arguments, text=text, quietly=quietly)

    def kubectl(self, *arguments: str | Path, text: str = "") -> str:
        return self.run(KUBECTL, *arguments, text=text)

    def objects(self, namespace: str, kinds: str) -> list[dict[str, Any]]:
        """What is there of these kinds (comma-separated)."""
        found: list[dict[str, Any]] = json.loads(
            self.kubectl("get", kinds, "--namespace", namespace, "--output", "json")
        )["items"]
        return found


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Runs for as long as the block does."""
    binaries = Path(APISERVER.path)
    etcd, peer, secure = free_port(), free_port(), free_port()
    key = folder / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f"{_TOKEN},tests,tests,system:masters\n")
    store: Sequence[str] = [
        str(binaries / "etcd"), f"--data-dir={folder}/etcd", "--unsafe-no-fsync", "--log-level=error",
        f"--listen-client-urls=http://127.0.0.1:{etcd}", f"--advertise-client-urls=http://127.0.0.1:{etcd}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
    ]  # fmt: skip
    server: Sequence[str] = [
        str(binaries / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{etcd}", "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1", f"--secure-port={secure}", f"--cert-dir={folder}/certificates",
        f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://tests.invalid", f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}", "--disable-admission-plugins=ServiceAccount", "--v=0",
    ]  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(running(store, etcd, folder / "etcd.log", os.environ))
        stack.enter_context(running(server, secure, folder / "kube-apiserver.log", os.environ))
        cluster = ApiServer(_kubeconfig(folder, secure))
        _wait_until_ready(cluster)
        yield cluster


def _kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    tree = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "c",
                "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True},
            }
        ],
        "users": [{"name": "u", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(tree))
    path.chmod(0o600)
    return path


def _wait_until_ready(cluster: ApiServer) -> None:
    deadline = time.monotonic() + _START_S
    while cluster.run(KUBECTL, "get", "--raw", "/readyz", quietly=True).strip() != "ok":
        assert time.monotonic() < deadline, "the API server does not become ready"
        time.sleep(0.2)
