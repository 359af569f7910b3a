// Package graphite pushes numbers to Graphite in the background: to carbon's plaintext port
// over TCP, or to the JSON metrics ingest that Grafana Cloud has, over HTTP.
//
// # Series
//
// A series is a name and tags. Those of a [Point] are its own, and the tag json_path has its
// path: the keys, joined with dots. Tags stand in the order of their bytes. Over both ways
// they are the same, so that one may be exchanged for the other.
//
// Not every character can stand in a series: carbon splits lines at white space and series at
// semicolons. So the name, each key of the path, and each tag's name and value are escaped,
// in this order:
//
//   - %, the semicolon and the quotation mark " are replaced by % and two hexadecimal digits in
//     upper case for each byte of their UTF-8, as in URLs: 20 for a space. So are Unicode's white
//     space and control characters, bytes that are not UTF-8, a ~ at the beginning,
//     in a key the dot as well, and in a tag's name = ! ^ as well.
//   - An empty text becomes a lone %, which nothing else does.
//   - A name, a path as a whole, a tag's name or value longer than 191 bytes is cut to at most
//     173, no character halved; then come %~ and the first 16 hexadecimal digits of the SHA-256 of
//     what was there before the cut.
//
// The percent sign is among them so that different texts stay different. The quotation mark is
// there because carbon takes a series that ends in "} for one in another notation, and 191
// characters are what the tables of Graphite's own tag database hold.
//
// # The two ways
//
// tcp://HOST or tcp://HOST:PORT (2003 if there is none) is carbon's plaintext protocol, a line for
// each point:
//
//	NAME;TAG=VALUE;TAG=VALUE NUMBER UNIXTIME
//
// Nobody acknowledges these. A connection that carbon has closed is noticed before the next
// batch is written, and then the batch before it is sent once more, since nobody knows whether
// carbon has read it: Graphite keeps one number for a series and a second, so twice is as good as once.
// What was written longer before a host dies can be lost.
//
// http://USER:TOKEN@HOST/PATH or https://… is a POST of a JSON array. USER and TOKEN, in
// percent-encoding where they hold other characters than letters and digits, are sent as
// Basic credentials and never logged. Redirects are not followed, since credentials don't belong
// to another host. HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment hold, as for most
// programs. Each point is one element:
//
//	{"name":NAME,"interval":1,"value":NUMBER,"tags":["TAG=VALUE",…],"time":UNIXTIME}
//
// # Trouble
//
// What is pushed waits in memory, in order, and is sent in batches. When the queue is full, the
// oldest points are dropped. A batch that can't be sent is tried again for ever: after network
// errors, and after every answer of a server but these. 400, 413 and 422 say that the points
// themselves are not wanted. Then the batch is halved, and the halves as well, until what is refused
// stands alone and is dropped; after many halvings the rest that is refused is dropped together.
// Points without a finite number, or of more tags than fit into carbon's longest line, are dropped
// as well. Everything that is dropped is counted, and there is one log line when trouble begins and
// one when it ends. A pusher connects once when it starts, so that a wrong address is in the log
// before there are points; an ingest gets a HEAD request then, whose answer doesn't matter.
package graphite
