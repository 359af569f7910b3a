// Package panels is a load generator: it is thousands of panels at a hub, or at a broker with somebody behind it that
// answers as a hub does.
//
// A [Job] says what they do. [Run] connects them all, then does it and says how long each answer took. Each answer is
// held against the one that has to come, on its topic and byte for byte: one that is wrong, or belongs to another
// panel, ends the job with an error.
//
// Paced requests have due times that don't depend on answers, and latency counts from there: a server that stalls is
// charged with every request that should have been sent meanwhile.
//
// The MQTT in here is the part of 3.1.1 that a client with clean sessions needs, written to cost little, since it
// shares the processors with what it measures.
package panels
