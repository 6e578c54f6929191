"""Go daemons that Debian builds, started by hand: not installed, only unpacked."""

import base64
import http.client
import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / "build" / "daemons"


class Missing(Exception):
    """The package is neither installed nor to be had; the text says why."""


def program(package, path):
    """PATH of Debian's PACKAGE: the installed one, else out of the package, unpacked in build/."""
    installed = Path("/") / path
    if installed.exists():
        return installed
    folder = KEPT / package
    if not (folder / path).exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True,
                              text=True)
        archives = list(folder.glob("*.deb"))
        if done.returncode or not archives:
            raise Missing(f"apt-get download {package}: {done.stderr.strip()}")
        subprocess.run(["dpkg-deb", "-x", str(archives[0]), str(folder)], check=True)
    return folder / path


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def post(url, document, timeout=5):
    request = urllib.request.Request(url, json.dumps(document).encode())
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read()


def wait_for(url, process):
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"it ended at once, with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"nobody answers at {url}")


def _text(value):
    return base64.b64encode(value.encode()).decode()


class Etcd:
    package, path = "etcd-server", "usr/bin/etcd"

    def __init__(self, folder):
        client, peer = free_port(), free_port()
        self.url, here = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        self.ready = self.url + "/health"
        self.arguments = [
            "--data-dir", str(folder / "data"), "--listen-client-urls", self.url,
            "--advertise-client-urls", self.url, "--listen-peer-urls", here,
            "--initial-advertise-peer-urls", here, "--initial-cluster", f"default={here}",
            "--log-level", "error",
        ]

    def load(self):
        """Writes, reads, and watchers that stay."""
        for number in range(3):
            threading.Thread(target=self._watch, args=(number,), daemon=True).start()
        for number in range(100):
            key = _text(f"key{number}")
            post(self.url + "/v3/kv/put", {"key": key, "value": _text("x" * number)})
            post(self.url + "/v3/kv/range", {"key": key})

    def _watch(self, number):
        try:
            post(self.url + "/v3/watch", {"create_request": {"key": _text(f"key{number}")}}, 60)
        except (OSError, http.client.HTTPException):
            pass  # it ends with the daemon


class NodeExporter:
    package, path = "prometheus-node-exporter", "usr/bin/prometheus-node-exporter"

    def __init__(self, folder):
        port = free_port()
        self.url = self.ready = f"http://127.0.0.1:{port}/"
        self.arguments = [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]

    def load(self):
        for _ in range(10):
            with urllib.request.urlopen(self.url + "metrics", timeout=20) as answer:
                assert b"node_" in answer.read()
        # Clients that have connected and say nothing.
        port = int(self.url.rsplit(":")[-1].strip("/"))
        self.kept = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]


def environment():
    return dict(os.environ, GOTRACEBACK="crash", LC_ALL="C")


