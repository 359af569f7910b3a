//go:build linux

package main

import "io"

// printLegend says what is beside the hub, and what it does that the hub doesn't.
func printLegend(w io.Writer) error {
	_, err := io.WriteString(w, `
mosquitto + responder: Debian's broker, and a program that answers gets from memory through it, which is what it takes
  to have twins behind a broker. At QoS 1 it carries request and answer at QoS 1; the hub acknowledges the request, and
  answers at QoS 0 on the same connection. What it does that the hub doesn't: any topic to any number of subscribers,
  QoS 2, retained messages, sessions that outlive a connection, wills, bridges, MQTT 5. What the hub does that the pair
  doesn't: documents on a disk, versions, patches, a device per get looked up, so that a revoked one is out at once.
  Among hostile clients it is not measured: a flood of gets fills the responder's queue, and everybody waits in it.
bare store: hub/docstore/sqlite by itself, with the same number of writers, each get and put with the exact version. No
  network, no JSON, no devices.
PostgreSQL beside the data folder: on the same disk and processors, each commit waits for the disk. What it does that the
  folder doesn't: several hubs on one store, replicas, fail-over.
Panels that come back try again 100 to 200 ms after a connection that failed, far sooner than real ones. A hub serves
  512 strangers at a time; the others wait, 3 s at most, and are closed then.
Latency at full load is mostly waiting in line: with n connections it is about n / rate. Generator, servers and disk
  share the processors of this computer.
`)
	return err
}
