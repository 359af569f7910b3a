"""Python's paho-mqtt (Debian's python3-paho-mqtt) against the hub's MQTT endpoint, over TCP and over WebSocket."""

import json
import queue
import unittest
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt

from hub import Hub

ME = "$SCW/twins/me"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
LIMIT = 20  # seconds; what a hub doesn't do shows as something that never comes


class Device:
    """A connection of paho, with what happened to it and wasn't looked at yet."""

    def __init__(self, url, client_id, username=None, password="", will=None, keepalive=60, tls=None, **options):
        address = urlsplit(url)
        over_websocket = address.scheme in ("ws", "wss")
        if over_websocket:
            options["transport"] = "websockets"
        self.client = mqtt.Client(client_id, **{"reconnect_on_failure": False, **options})
        if over_websocket:
            self.client.ws_set_options(path=address.path)
        if tls:
            self.client.tls_set(**tls)
        if username:
            self.client.username_pw_set(username, password)
        if will:
            self.client.will_set(*will)
        self.connacks, self.subacks, self.published, self.messages, self.ends = (queue.Queue() for _ in range(5))
        # Where MQTT 3 has a number, MQTT 5 has an object with a value.
        self.client.on_connect = lambda client, data, flags, code, *_: self.connacks.put((getattr(code, "value", code), flags))
        self.client.on_subscribe = lambda client, data, mid, granted: self.subacks.put(list(granted))
        self.client.on_publish = lambda client, data, mid: self.published.put(mid)
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_disconnect = lambda client, data, code, *_: self.ends.put(code)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect(address.hostname, address.port, keepalive)
        self.client.loop_start()

    def connack(self):
        """The hub's return code and whether it says that a session is present."""
        code, flags = self.connacks.get(timeout=LIMIT)
        return code, flags.get("session present")

    def subscribe(self, *filters, qos=0):
        """Subscribes and returns the codes of the SUBACK."""
        self.client.subscribe([(f, qos) for f in filters])
        return self.subacks.get(timeout=LIMIT)

    def publish(self, topic, payload="", qos=0, retain=False):
        """Publishes; at QoS 1 that is done when it is acknowledged."""
        message = self.client.publish(topic, payload, qos, retain).mid
        while self.published.get(timeout=LIMIT) != message:
            pass

    def next(self):
        """The next message, as one line."""
        message = self.messages.get(timeout=LIMIT)
        assert message.qos == 0 and not message.retain
        return f"{message.topic} {message.payload.decode()}"

    def ask(self, topic, payload="", qos=0):
        """Publishes a request and returns the answer."""
        self.publish(topic, payload, qos)
        return self.next()

    def end(self):
        """Waits for the hub to close the connection."""
        self.ends.get(timeout=LIMIT)

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


class TCP(unittest.TestCase):
    def setUp(self):
        self.hub = Hub()
        self.addCleanup(self.hub.stop)
        self.id = self.hub.device["id"]
        self.url = self.hub.mqtt

    def connect(self, client_id=None, **options):
        """A connection that the hub has not answered yet."""
        device = Device(self.url, self.id if client_id is None else client_id, **options)
        self.addCleanup(device.stop)
        return device

    def device(self, **options):
        """A connection that is subscribed to its twin."""
        device = self.connect(**options)
        self.assertEqual(device.connack(), (0, 0))
        self.assertEqual(device.subscribe(f"{ME}/#"), [0])
        return device

    def check(self, device, requests):
        """Checks answers from top to bottom: topic, payload, answer."""
        for topic, payload, want in requests:
            self.assertEqual(device.ask(topic, payload), want, f"{topic} {payload}")

    def test_walk_through_of_the_specification(self):
        d = self.device()
        self.hub.app("PUT", "desired", {"data": {"alarm_armed": True}})
        self.hub.app("PUT", "concurency", {"data": {"test_value": "initial"}})
        self.hub.app("PUT", "concurency", {"version": 1, "data": {"test_value": "first actor"}})
        self.check(d, [
            (f"{ME}/desired/get", "", ME + '/desired/get/response/success {"version":1,"data":{"alarm_armed":true}}'),
            (f"{ME}/current/put", '{"data":{"last_update":"1","alarm_armed":false,"siren_ringing":false,"door_open":true}}',
             ME + '/current/put/response/success {"version":1,"data":{"last_update":"1","alarm_armed":false,"siren_ringing":false,"door_open":true}}'),
            (f"{ME}/current/patch", '{"data":{"last_update":"2","door_open":false}}',
             ME + '/current/patch/response/success {"version":2,"data":{"last_update":"2","alarm_armed":false,"siren_ringing":false,"door_open":false}}'),
            (f"{ME}/concurency/put", '{"version":1,"data":{"test_value":"MQTT actor"}}',
             ME + '/concurency/put/response/error {"error":"document version mismatch","twin_id":"' + self.id +
             '","document_name":"concurency","expected_version":1,"actual_version":2}'),
            (f"{ME}/concurency/put", '{"version":2,"data":{"test_value":"MQTT actor"}}',
             ME + '/concurency/put/response/success {"version":3,"data":{"test_value":"MQTT actor"}}'),
        ])
        _, current = self.hub.app("GET", "current")
        self.assertEqual(current["data"], {"last_update": "2", "alarm_armed": False, "siren_ringing": False, "door_open": False})

    def test_errors(self):
        d = self.device()
        d.subscribe("$SCW/twins/#")
        self.check(d, [
            (f"{ME}/nothing/get", "", ME + '/nothing/get/response/error {"error":"document not found"}'),
            (f"{ME}/nothing/patch", '{"data":{}}', ME + '/nothing/patch/response/error {"error":"document not found"}'),
            (f"{ME}/a/put", "", ME + '/a/put/response/error {"error":"body: empty: send {\\"data\\":{…}}"}'),
            (f"{ME}/a/put", '{"version":7,"data":{}}',
             ME + '/a/put/response/error {"error":"document version mismatch","twin_id":"' + self.id +
             '","document_name":"a","expected_version":7,"actual_version":0}'),
            (f"{ME}/front door/get", "", ME + '/front door/get/response/error '
             '{"error":"document_name: only letters, digits and - _ . ~ can stand in a name: choose another one"}'),
            (f"$SCW/twins/{UNKNOWN_ID}/a/get", "", f'$SCW/twins/{UNKNOWN_ID}/a/get/response/error {{"error":"permission denied"}}'),
        ])
        self.assertEqual(self.hub.app("GET", "a")[0], 404)

    def test_device_by_its_user_name_asking_by_its_id(self):
        d = self.connect(client_id="", username=self.id)
        self.assertEqual(d.connack(), (0, 0))
        self.assertEqual(d.subscribe(f"$SCW/twins/{self.id}/+/get/response/+"), [0])
        self.hub.app("PUT", "desired", {"data": {"text": "ü€😀<&>"}})
        self.assertEqual(d.ask(f"$SCW/twins/{self.id}/desired/get"),
                         f"$SCW/twins/{self.id}/desired/get/response/success " + r'{"version":1,"data":{"text":"\u00fc\u20ac\ud83d\ude00<&>"}}')

    def test_large_document(self):
        data = json.dumps({"a": "x" * 200_000}, separators=(",", ":"))
        d = self.device()
        self.check(d, [
            (f"{ME}/a/put", f'{{"data":{data}}}', f'{ME}/a/put/response/success {{"version":1,"data":{data}}}'),
            (f"{ME}/a/get", "", f'{ME}/a/get/response/success {{"version":1,"data":{data}}}'),
        ])

    def test_many_requests_at_once_are_answered_in_their_order(self):
        d = self.device()
        for i in range(1, 201):
            d.client.publish(f"{ME}/a/put", f'{{"data":{{"i":{i}}}}}')
        for i in range(1, 201):
            self.assertEqual(d.next(), f'{ME}/a/put/response/success {{"version":{i},"data":{{"i":{i}}}}}')

    def test_qos_1_is_acknowledged_when_the_document_is_written(self):
        d = self.connect()
        self.assertEqual(d.connack(), (0, 0))
        d.publish(f"{ME}/a/put", '{"data":{"on":true}}', qos=1)
        self.assertEqual(self.hub.app("GET", "a")[1]["data"], {"on": True})
        d.subscribe(f"{ME}/#")
        self.assertEqual(d.ask(f"{ME}/a/get", qos=1), ME + '/a/get/response/success {"version":1,"data":{"on":true}}')

    def test_subscriptions(self):
        d = self.connect()
        self.assertEqual(d.connack(), (0, 0))
        self.assertEqual(d.subscribe(f"{ME}/#", "house/#", "#", f"{ME}/a/get/response/+", qos=2), [0, 128, 128, 0])
        self.assertEqual(d.ask(f"{ME}/a/get"), ME + '/a/get/response/error {"error":"document not found"}')

    def test_notice_for_each_change_by_somebody_else(self):
        d = self.device()
        changed = f"{ME}/desired/changed"
        self.assertEqual(d.subscribe(changed), [0])
        self.assertEqual(d.next(), changed + ' {"version":0}', "the present version")
        self.hub.app("PUT", "desired", {"data": {"alarm_armed": True}})
        self.assertEqual(d.next(), changed + ' {"version":1}')
        self.assertEqual(d.ask(f"{ME}/desired/put", '{"data":{}}'), ME + '/desired/put/response/success {"version":2,"data":{}}')
        self.hub.app("PUT", "another", {})
        self.hub.app("DELETE", "desired")
        self.assertEqual(d.next(), changed + ' {"version":0}', "neither its own change nor another document is news")

    def test_who_may_not_connect(self):
        for name, options, code in [
            ("unknown device", {"client_id": UNKNOWN_ID}, 5),
            ("no device", {"client_id": "panel", "username": "panel"}, 5),
            ("a token is no device", {"client_id": self.hub.token}, 5),
            ("MQTT 5", {"protocol": mqtt.MQTTv5}, 132),
        ]:
            with self.subTest(name):
                d = self.connect(**options)
                self.assertEqual(d.connack()[0], code)
                d.stop()

    def test_mqtt_3_1(self):
        d = self.device(client_id="panel", username=self.id, protocol=mqtt.MQTTv31)
        self.assertEqual(d.ask(f"{ME}/a/get"), ME + '/a/get/response/error {"error":"document not found"}')

    def test_session_is_never_kept(self):
        first = self.device(clean_session=False)
        first.stop()
        second = self.connect(clean_session=False)
        self.assertEqual(second.connack(), (0, 0))
        second.publish(f"{ME}/a/put", '{"data":{}}', qos=1)
        second.subscribe(f"{ME}/#")
        self.assertEqual(second.ask(f"{ME}/a/get"), ME + '/a/get/response/success {"version":1,"data":{}}', "no answer to the put")

    def test_what_the_hub_does_not_do_ends_the_connection(self):
        for name, topic, qos, retain in [
            ("QoS 2", f"{ME}/a/put", 2, False),
            ("retain", f"{ME}/a/put", 0, True),
            ("retain at QoS 1", f"{ME}/a/put", 1, True),
            ("another topic", "house/door", 0, False),
            ("another topic at QoS 1", "house/door", 1, False),
        ]:
            with self.subTest(name):
                d = self.device()
                d.client.publish(topic, '{"data":{}}', qos, retain)
                d.end()
                d.stop()
                self.assertTrue(d.messages.empty())
        self.assertEqual(self.hub.app("GET", "a")[0], 404, "nothing was written")

    def test_take_over(self):
        first = self.device(reconnect_on_failure=True)
        second = self.connect()
        self.assertEqual(second.connack(), (0, 0))
        first.end()
        second.stop()  # while the first waits a second before it comes back
        first.publish(f"{ME}/a/put", '{"data":{"while":"away"}}', qos=1)
        self.assertEqual(first.connack(), (0, 0))
        self.assertEqual(self.hub.app("GET", "a")[1]["data"], {"while": "away"})

    def test_will_is_never_published(self):
        first = self.device(will=(f"{ME}/a/put", '{"data":{}}', 1, True))
        second = self.device()  # drops the first, without a DISCONNECT of its own
        first.end()
        self.assertEqual(second.ask(f"{ME}/a/get"), ME + '/a/get/response/error {"error":"document not found"}')

    def test_keep_alive(self):
        pings = queue.Queue()
        d = self.device(keepalive=1)
        d.client.on_log = lambda client, data, level, text: pings.put(text) if text == "Received PINGRESP" else None
        pings.get(timeout=LIMIT)
        pings.get(timeout=LIMIT)
        self.assertEqual(d.ask(f"{ME}/a/get"), ME + '/a/get/response/error {"error":"document not found"}')


class WebSocket(TCP):
    def setUp(self):
        super().setUp()
        self.url = self.hub.ws


if __name__ == "__main__":
    unittest.main()
