"""Python's paho-mqtt against a hub over TLS, with a certificate and with a secret, over TCP and over WebSocket."""

import ssl
import unittest
import warnings

from hub import SecureHub
from test_paho import ME, Device


class TCP(unittest.TestCase):
    def setUp(self):
        self.hub = SecureHub()
        self.addCleanup(self.hub.stop)
        self.url = self.hub.mqtts
        files = self.hub.files
        self.trusting = {"ca_certs": files / "panel" / "ca.pem", "tls_version": ssl.PROTOCOL_TLS_CLIENT}
        self.certified = {**self.trusting, "certfile": files / "panel" / "cert.pem", "keyfile": files / "panel" / "key.pem"}

    def connect(self, client_id, **options):
        """A connection that the hub has not answered yet."""
        device = Device(self.url, client_id, **options)
        self.addCleanup(device.stop)
        return device

    def check_device(self, device, device_id):
        """Checks what a device may do, and that an app sees it."""
        self.hub.device = {"id": device_id}
        self.hub.app("PUT", "desired", {"data": {"alarm_armed": True}})
        self.assertEqual(device.connack(), (0, 0))
        self.assertEqual(device.subscribe(f"{ME}/#"), [0])
        self.assertEqual(device.ask(f"{ME}/desired/get"), ME + '/desired/get/response/success {"version":1,"data":{"alarm_armed":true}}')
        self.assertEqual(device.ask(f"{ME}/current/put", '{"data":{"alarm_armed":true}}', qos=1),
                         ME + '/current/put/response/success {"version":1,"data":{"alarm_armed":true}}')
        for method in "put", "patch":
            self.assertEqual(device.ask(f"{ME}/desired/{method}", '{"data":{"alarm_armed":false}}'),
                             ME + f'/desired/{method}/response/error {{"error":"permission denied"}}')
        self.assertEqual(self.hub.app("GET", "desired")[1]["data"], {"alarm_armed": True})
        self.assertEqual(self.hub.app("GET", "current")[1]["data"], {"alarm_armed": True})

    def test_certificate(self):
        self.check_device(self.connect(self.hub.panel, tls=self.certified), self.hub.panel)

    def test_secret(self):
        self.check_device(self.connect(self.hub.meter, username=self.hub.meter, password=self.hub.secret, tls=self.trusting), self.hub.meter)

    def test_secret_with_any_client_id(self):
        self.check_device(self.connect("", username=self.hub.meter, password=self.hub.secret, tls=self.trusting), self.hub.meter)

    def test_who_may_not_connect(self):
        panel, meter, secret = self.hub.panel, self.hub.meter, self.hub.secret
        for name, options in [
            ("the id alone", {"client_id": panel, "tls": self.trusting}),
            ("the id as user name alone", {"client_id": "", "username": meter, "tls": self.trusting}),
            ("wrong secret", {"client_id": meter, "username": meter, "password": "wrong", "tls": self.trusting}),
            ("another device's secret", {"client_id": panel, "username": panel, "password": secret, "tls": self.trusting}),
            ("another device's certificate", {"client_id": meter, "tls": self.certified}),
            ("another device's certificate beside a secret", {"client_id": meter, "username": meter, "password": secret, "tls": self.certified}),
        ]:
            with self.subTest(name):
                d = self.connect(**options)
                self.assertEqual(d.connack()[0], 5)
                d.stop()

    def test_hub_that_nobody_vouches_for(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # paho leaves its socket open then
            with self.assertRaisesRegex(ssl.SSLCertVerificationError, "certificate verify failed"):
                Device(self.url, self.hub.panel, tls={**self.certified, "ca_certs": None})


class WebSocket(TCP):
    def setUp(self):
        super().setUp()
        self.url = self.hub.wss


if __name__ == "__main__":
    unittest.main()
