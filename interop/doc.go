// Package interop tests the hub with clients that this project did not write: the
// vendor's SDKs, mqtt.js, mosquitto's tools, Python's paho, Graphite, and a browser. It is a
// module of its own, so that the project's go.mod lists only what ships.
package interop
