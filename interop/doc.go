// Package interop tests the project with programs that it did not write. The hub is for the
// vendor's SDKs, mqtt.js, mosquitto's tools, Python's paho and Graphite, in front of other brokers, and behind a balancer; the hub's console and the
// phone app are for a browser, the app with hub, panel and app as processes of their own. It is a module of its own, so that the project's
// go.mod lists only what ships.
package interop
