"""A real Sentry-compatible server for issues, on loopback: bugsink (https://pypi.org/project/bugsink/).

It lives in a virtual environment of its own, whose folder SHIPPER_TEST_BUGSINK names; this makes one:
`python3 -m venv bugsink && bugsink/bin/pip install bugsink==2.6.1`. Its licence does not allow it to be shipped, so it
is a tool of the tests alone. It checks events against Sentry's own schema here (VALIDATE_ON_DIGEST).
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.process import free_port, running

QUOTA = 40
"""Events of a project in five minutes."""

_SETTINGS = """
ALLOWED_HOSTS = ["*"]
SNAPPEA = {{"TASK_ALWAYS_EAGER": True}}
BUGSINK |= {{"PHONEHOME": False, "VALIDATE_ON_DIGEST": "strict", "INGEST_STORE_BASE_DIR": "{folder}/ingest"}}
BUGSINK |= {{"MAX_EVENTS_PER_PROJECT_PER_5_MINUTES": {quota}}}
DATABASES["default"]["NAME"] = "{folder}/db.sqlite3"
DATABASES["snappea"]["NAME"] = "{folder}/snappea.sqlite3"
"""
_PROJECTS = """
from projects.models import Project
from teams.models import Team
team = Team.objects.create(name="tests")
for name in ("checkout", "billing", "flooded"):
    print("DSN", name, Project.objects.create(name=name, team=team).dsn)
"""


@dataclass(frozen=True)
class Bugsink:
    """A running server; `dsns` by project. Every project has a number, which counts from 1."""

    url: str
    token: str
    dsns: dict[str, str]

    def issues(self, project: str) -> list[dict[str, Any]]:
        """The issues of a project."""
        return self._all(f"issues/?project={1 + list(self.dsns).index(project)}")

    def events(self, issue: dict[str, Any]) -> list[dict[str, Any]]:
        """The events of an issue, whole."""
        return [self._get(f"events/{event['id']}/") for event in self._all(f"events/?issue={issue['id']}")]

    def _all(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get(path)["results"]
        return found

    def _get(self, path: str) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/canonical/0/{path}", headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def find_bugsink() -> Path | None:
    """The folder with its programs, if there is one."""
    folder = Path(os.environ.get("SHIPPER_TEST_BUGSINK", "")) / "bin"
    return folder.resolve() if (folder / "bugsink-manage").exists() else None


@contextmanager
def bugsink(programs: Path, folder: Path) -> Iterator[Bugsink]:
    """A server with three projects, for as long as the block runs."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder)}

    def run(*command: str) -> str:
        done = subprocess.run(
            [str(programs / command[0]), *command[1:]],
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            timeout=120,
            text=True,
        )
        return done.stdout

    settings = folder / "bugsink_conf.py"
    run(
        "bugsink-create-conf",
        "--template=local",
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "-o",
        settings.name,
    )
    with settings.open("a") as file:
        file.write(_SETTINGS.format(folder=folder, quota=QUOTA))
    run("bugsink-manage", "migrate", "--verbosity", "0")
    token = run("bugsink-manage", "create_auth_token").strip()
    told = run("bugsink-manage", "shell", "--verbosity", "0", "--command", _PROJECTS)
    dsns = dict(line.split()[1:] for line in told.splitlines() if line.startswith("DSN "))
    # In the folder, since the settings are a module of it.
    command = ["/usr/bin/env", "--chdir", str(folder), str(programs / "gunicorn")]
    command += ["--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "4", "bugsink.wsgi"]
    environment |= {"DJANGO_SETTINGS_MODULE": "bugsink_conf", "PYTHONPATH": str(folder)}
    with running(command, port, folder / "bugsink.log", environment):
        yield Bugsink(url, token, dsns)
