#!/usr/bin/env python3
"""A test in Python, with its standard library alone, of something that speaks to a hub.

    HUB=bin/hub python3 examples/hub-dev/test_twin.py

HUB is the program; hub if not given.
"""

import json
import os
import subprocess
import unittest
import urllib.error
import urllib.request


class Hub:
    """A hub of its own for a test. It ends when its stdin does: with the test, however that ends."""

    def __init__(self):
        self.process = subprocess.Popen(
            [os.environ.get("HUB", "hub"), "dev"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # its log
        )
        # The one line that it prints has all there is to know, and comes when it is ready.
        self.__dict__.update(json.loads(self.process.stdout.readline()))

    def close(self):
        """End the hub and return its exit code."""
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(timeout=10)

    def call(self, method, document, body=None, token=None):
        """Send a request of the REST API, and return its status and what it answers."""
        request = urllib.request.Request(
            f"{self.rest}/twins/{self.device['id']}/documents/{document}",
            method=method,
            headers={"X-Auth-Token": token or self.token},
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.loads(refusal.read())


class TwinTest(unittest.TestCase):
    def setUp(self):
        self.hub = Hub()

    def tearDown(self):
        self.assertEqual(self.hub.close(), 0)

    def test_each_write_has_a_new_version(self):
        for version in (1, 2, 3):
            status, answer = self.hub.call("PUT", "desired", {"data": {"n": version}})
            self.assertEqual((status, answer["version"]), (200, version))
        _, answer = self.hub.call("GET", "desired")
        self.assertEqual(answer["data"], {"n": 3})

    def test_an_old_version_is_refused(self):
        self.hub.call("PUT", "desired", {"data": {"n": 1}})
        self.hub.call("PUT", "desired", {"data": {"n": 2}})
        status, answer = self.hub.call("PUT", "desired", {"version": 1, "data": {"n": 3}})
        self.assertEqual((status, answer["type"]), (400, "invalid_arguments"))
        self.assertEqual(answer["details"][0]["argument_name"], "version")

    def test_a_patch_removes_with_null(self):
        self.hub.call("PUT", "desired", {"data": {"a": 1, "b": 2}})
        _, answer = self.hub.call("PATCH", "desired", {"data": {"a": None, "c": 3}})
        self.assertEqual(answer["data"], {"b": 2, "c": 3})

    def test_a_token_for_reading_changes_nothing(self):
        self.hub.call("PUT", "desired", {"data": {"n": 1}})
        status, answer = self.hub.call("DELETE", "desired", token=self.hub.read_only_token)
        self.assertEqual((status, answer["type"]), (403, "permissions_denied"))
        self.assertEqual(self.hub.call("DELETE", "desired"), (204, None))


if __name__ == "__main__":
    unittest.main()
