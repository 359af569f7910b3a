"""Python's paho-mqtt with mosquitto's broker behind the hub, over TCP and over WebSocket: what people use a broker for, and twins
beside it."""

import unittest

from hub import Broker, Hub
from test_paho import ME, Device


class TCP(unittest.TestCase):
    def setUp(self):
        self.broker = Broker()
        self.addCleanup(self.broker.stop)
        self.hub = Hub("--upstream", self.broker.url)
        self.addCleanup(self.hub.stop)
        self.id = self.hub.device["id"]
        self.url = self.hub.mqtt

    def connect(self, client_id, **options):
        """A connection that was accepted."""
        device = Device(self.url, client_id, **options)
        self.addCleanup(device.stop)
        self.session = device.connack()
        self.assertEqual(self.session[0], 0)
        return device

    def message(self, device):
        """The next message as topic, payload, QoS and retain flag."""
        m = device.messages.get(timeout=20)
        return m.topic, m.payload.decode(), m.qos, m.retain

    def test_every_qos(self):
        d = self.connect(self.id)
        for granted in range(3):
            self.assertEqual(d.subscribe("house/+", qos=granted), [granted])
            for sent in range(3):
                d.publish("house/door", f"at {sent}", qos=sent)
                self.assertEqual(self.message(d), ("house/door", f"at {sent}", min(granted, sent), False))

    def test_retained(self):
        self.connect("a").publish("kept", "yes", qos=1, retain=True)
        d = self.connect(self.id)
        self.assertEqual(d.subscribe("kept", f"{ME}/#", qos=1), [1, 0])
        self.assertEqual(self.message(d), ("kept", "yes", 1, True))

    def test_twins_beside_messages(self):
        d = self.connect(self.id)
        self.assertEqual(d.subscribe(f"{ME}/#", "house/#", "$SCW/#", qos=2), [0, 2, 2])
        for i in range(1, 51):
            d.client.publish("house/door", str(i), 2)
            d.client.publish(f"{ME}/a/put", f'{{"data":{{"i":{i}}}}}', 1)
        got = [self.message(d) for _ in range(100)]
        self.assertEqual([p for t, p, *_ in got if t == "house/door"], [str(i) for i in range(1, 51)])
        self.assertEqual([p for t, p, *_ in got if t == f"{ME}/a/put/response/success"],
                         [f'{{"version":{i},"data":{{"i":{i}}}}}' for i in range(1, 51)])

    def test_session_that_is_kept(self):
        d = self.connect("keeper", clean_session=False)
        self.assertFalse(self.session[1])
        d.subscribe("kept", qos=2)
        d.stop()
        other = self.connect("other")
        for i in range(10):
            other.publish("kept", str(i), qos=2)
        d = self.connect("keeper", clean_session=False)
        self.assertTrue(self.session[1])
        self.assertEqual([self.message(d)[1] for _ in range(10)], [str(i) for i in range(10)])

    def test_will_and_take_over(self):
        watcher = self.connect("watcher")
        watcher.subscribe("will/#", qos=1)
        first = self.connect(self.id, will=("will/panel", "gone", 1, False))
        second = self.connect(self.id, will=("will/panel", "second gone", 1, False))
        first.end()
        self.assertEqual(self.message(watcher), ("will/panel", "gone", 1, False))
        second.stop()  # which says good-bye
        watcher.publish("will/end")
        self.assertEqual(self.message(watcher)[0], "will/end")

    def test_broker_is_killed(self):
        d = self.connect(self.id, reconnect_on_failure=True)
        self.broker.kill()
        d.end()
        self.broker.start()
        while d.connack()[0] != 0:  # 3 as long as the broker is not there
            pass
        d.subscribe("a", f"{ME}/#", qos=1)
        d.publish("a", "works", qos=1)
        self.assertEqual(self.message(d)[1], "works")
        self.assertEqual(d.ask(f"{ME}/a/get"), ME + '/a/get/response/error {"error":"document not found"}')


class WebSocket(TCP):
    def setUp(self):
        super().setUp()
        self.url = self.hub.ws


if __name__ == "__main__":
    unittest.main()
