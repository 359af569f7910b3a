// Package twin is the contract that a device and its hub share: documents and
// their versions, the patch format, topics, and the errors both sides name.
//
// A twin is a set of JSON documents that belongs to one device; its id is the
// device's id. A [Document] has a version, which starts at 1 and rises by one
// with every accepted write, and data, which is a JSON object. A write may
// name the version it expects to replace; otherwise the last writer wins.
//
// The package imports the standard library only. What it accepts and refuses
// is the same at both ends of the wire: a client can check a document with the
// very code that the hub will use.
//
// Source: the Cloud Twins reference and "Using IoT Cloud Twins"; where these
// are silent, docs/protocol.md of this project.
package twin
