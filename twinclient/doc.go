// Package twinclient is the device's side of Cloud Twins over MQTT: it reads and
// writes the documents of the device's own twin, on any hub that speaks the
// in-band API.
//
// [Sync] is what most devices want. It keeps connecting for ever, watches one
// document (what somebody wants of the device, such as "desired"), and publishes
// another (what the device does, such as "current"), and further ones if there are
// (what has happened lately, such as "events"). [Conn] is one connection,
// for anything else: get, put and patch of any document.
//
// # On the wire
//
// A connection is MQTT 3.1.1 with a clean session, under the device id as client
// id, and with the device's secret, if there is one, as password. It subscribes to $SCW/twins/me/# and publishes requests on
// $SCW/twins/me/DOCUMENT/get, /put and /patch, all at QoS 0, which every hub
// offers. The answer is the acknowledgement.
//
// The protocol has no correlation id, so an answer could be taken for that of
// another request. These rules keep answers apart:
//
//   - One request is in flight at a time, and only an answer on its own topic counts.
//   - No answer in time ends the connection. A hub answers only on the connection
//     that asked, so that a late answer can never meet a later request.
//   - A put or patch that names version N is answered with N+1. What has another
//     version answers something else and is dropped.
//   - Sync gives each publication its own last_update and takes no answer without it.
//   - A get has nothing to recognise its answer by. Should a hub answer one twice, the
//     next get may be given the second answer: the truth of a moment ago, and the get
//     after that puts it right.
//
// # Notices
//
// The specification lets a hub answer, never speak first, so devices poll. This project's
// hub can also tell a device that somebody else has changed a document. [Conn.Notices] asks for
// that with a second subscription, to $SCW/twins/me/DOCUMENT/changed, which no answer depends on.
//
// Sync asks after its first publication, and learns from the first notice that there are such. From
// then on each notice leads to a read, at most ten a second, and polls become rare. It
// reads whatever version the notice names: documents that are deleted and created again have old
// ones. When a poll finds a change that no notice came for, polls are as often as
// without notices until the next one comes. A connection that ended within a minute of
// the question, and without a notice, makes Sync leave the question out of the next one.
//
// # What Sync promises
//
// It first reads the watched document, then puts the whole published document
// without a version: this device is its only writer. Then it reads after each notice and
// every Poll, and patches what has changed, at once, with the version of the last answer.
// Anything but the expected answer, and every tenth heartbeat, puts the whole
// document again. So whatever is lost, doubled or meddled with, the hub has the
// latest document again when the connection is back (tried at least once a
// minute), or one heartbeat later.
//
// Further documents follow it, each as a whole: once on a connection, and when they have
// changed. Nothing becomes of them that could end or hold up the main one for long; see [Publication].
//
// Changes are not queued: the latest state is published, states in between may
// never be seen. An hour without changes is 1800 reads, 120 where the hub has notices,
// and 120 publications.
//
// # Caveats
//
// A hub allows one connection for each device. A second client with the same
// device id takes over, and the two of them drop each other without end; Sync logs
// this suspicion.
//
// Plaintext, or TLS with neither a certificate nor a secret of the device, means that whoever
// learns the device id, or listens, can act as the device. Outside of loopback it is refused
// unless [Options] say Insecure.
//
// Certificates end. Sync logs what [Options.Inspect] finds about the files 30 days before they do, and once
// more after each restart; a connection that lasts outlives them, the next one is refused.
//
// last_update comes from the device's clock, which may be wrong. Nothing here
// depends on its being right.
//
// Messages of more than 1 MiB end the connection.
package twinclient
