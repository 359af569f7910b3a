"""A hub for a test: `hub dev` as a child process.

It keeps everything in memory, listens on free ports, and ends with its stdin, so also
with this process. The environment variable HUB names the program; scripts/interop builds
it and sets that.
"""

import json
import os
import subprocess
import tempfile
import urllib.error
import urllib.request


class Hub:
    """A running hub; its attributes are what `hub dev` prints: mqtt, ws, rest, token, device …"""

    def __init__(self):
        if "HUB" not in os.environ:
            raise RuntimeError("HUB is not set: run scripts/interop")
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [os.environ["HUB"], "dev"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True)
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
