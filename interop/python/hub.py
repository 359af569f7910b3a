"""Hubs for tests, as child processes on free ports: `hub dev`, which keeps everything in memory and ends with its
stdin, so also with this process, and a hub over TLS.

The environment variable HUB names the program; scripts/interop builds it and sets that.
"""

import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request


def _program():
    if "HUB" not in os.environ:
        raise RuntimeError("HUB is not set: run scripts/interop")
    return os.environ["HUB"]


class Hub:
    """A running hub, with options of `hub dev`; its attributes are what that prints: mqtt, ws, rest, token, device …"""

    def __init__(self, *options):
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [_program(), "dev", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True)
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise RuntimeError("the hub did not start:\n" + self._read_log())
        self.__dict__.update(json.loads(line))

    def app(self, method, document, update=None):
        """Does what an app does. Returns status and body."""
        request = urllib.request.Request(
            f"{self.rest}/twins/{self.device['id']}/documents/{document}", method=method,
            headers={"X-Auth-Token": self.token}, data=None if update is None else json.dumps(update).encode())
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, json.load(answer)

    def stop(self):
        """Ends the hub, and fails if it doesn't end well."""
        self._process.stdin.close()
        code = self._process.wait()
        self._process.stdout.close()
        with self._log:
            if code != 0:
                raise RuntimeError(f"the hub ended with exit code {code}:\n" + self._read_log())

    def _read_log(self):
        self._log.seek(0)
        return self._log.read()


class SecureHub(Hub):
    """A hub over TLS, set up as an operator does it, with two devices that must not write desired: `panel` has a
    certificate and `meter` has a secret. `files` is the folder with what they were given; `mqtts`, `wss` and `rest` are
    addresses."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory()
        self.files = pathlib.Path(self._folder.name)
        self._log = open(self.files / "log", "w+")
        self.token = self._run("token", "add", "app").strip()
        self.panel, self.meter = (
            json.loads(self._run("device", "add", name, *options, "--read-only", "desired", "--out", self.files / name))["id"]
            for name, options in [("panel", []), ("meter", ["--secret"])])
        self.secret = (self.files / "meter" / "secret").read_text().strip()
        self.device = {"id": self.panel}
        self._process = subprocess.Popen(
            [_program(), "--data", self.files / "data", "--mqtt=", "--mqtts=127.0.0.1:0", "--wss=127.0.0.1:0", "--rest=127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=self._log, text=True)
        for _ in range(4):  # MQTT over TLS at …, REST at …, WebSocket over TLS at …, Console at …
            name, _, address = self._process.stdout.readline().strip().partition(" at ")
            if not address:
                self._process.wait()
                raise RuntimeError("the hub did not start:\n" + self._read_log())
            setattr(self, {"MQTT over TLS": "mqtts", "REST": "rest", "WebSocket over TLS": "wss", "Console": "console"}[name], address)

    def _run(self, *arguments):
        return subprocess.run(
            [_program(), *arguments, "--data", self.files / "data"], check=True, stdout=subprocess.PIPE, stderr=self._log, text=True).stdout

    def stop(self):
        """Ends the hub, and fails if it doesn't end well."""
        self._process.terminate()
        code = self._process.wait()
        self._process.stdout.close()
        with self._folder, self._log:
            if code != 0:
                raise RuntimeError(f"the hub ended with exit code {code}:\n" + self._read_log())


class Broker:
    """Debian's mosquitto on a port of its own; `url` is where."""

    def __init__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self._port = s.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self._port}"
        self._conf = tempfile.NamedTemporaryFile("w")
        self._conf.write(f"user root\nlistener {self._port} 127.0.0.1\nallow_anonymous true\n")
        self._conf.flush()
        self.start()

    def start(self):
        """Returns when it accepts connections."""
        self._process = subprocess.Popen(["mosquitto", "-c", self._conf.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.05)
        raise RuntimeError("the broker did not start")

    def kill(self):
        """Ends it suddenly."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        with self._conf:
            self.kill()
