#!/usr/bin/python3
"""A door alarm on a Cloud Twin, as one writes it at home with gpiozero and paho-mqtt.

    alarm.py HOST PORT DEVICE_ID

A contact from GPIO17 to ground, a siren's relay on GPIO27. Once a second it gets the
document "desired" and puts the document "current". It is what the panel is measured against.

Debian: python3-gpiozero, python3-paho-mqtt (1.6). On a computer without GPIO:
GPIOZERO_PIN_FACTORY=mock.
"""

import json
import signal
import sys
import time
from datetime import datetime, timezone

import paho.mqtt.client as mqtt
from gpiozero import Button, OutputDevice

PREFIX = "$SCW/twins/me/"
INTERVAL = 1.0

armed = False


def door_opened():
    if armed:
        siren.on()


def on_connect(client, userdata, flags, rc):
    if rc != 0:
        print("refused:", mqtt.connack_string(rc), file=sys.stderr)
        return
    client.subscribe(PREFIX + "#")


def on_message(client, userdata, message):
    global armed
    if message.topic != PREFIX + "desired/get/response/success":
        return
    try:
        wish = json.loads(message.payload)["data"]["alarm_armed"]
    except (ValueError, KeyError, TypeError):
        return
    if not isinstance(wish, bool):
        return
    armed = wish
    if not armed:
        siren.off()


def current():
    now = datetime.now(timezone.utc)
    return {
        "last_update": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "alarm_armed": armed,
        "siren_ringing": bool(siren.value),
        "door_open": not door.is_pressed,
    }


signal.signal(signal.SIGTERM, lambda *_: sys.exit())
host, port, device = sys.argv[1:]

siren = OutputDevice(27, initial_value=False)
door = Button(17, pull_up=True, bounce_time=0.2)
door.when_released = door_opened
print("guarding", flush=True)

client = mqtt.Client(client_id=device)
client.on_connect = on_connect
client.on_message = on_message
client.reconnect_delay_set(1, 60)
client.connect_async(host, int(port), keepalive=60)
client.loop_start()
while True:
    if client.is_connected():
        client.publish(PREFIX + "desired/get")
        client.publish(PREFIX + "current/put", json.dumps({"data": current()}))
    time.sleep(INTERVAL)
