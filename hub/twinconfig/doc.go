// Package twinconfig reads a twin's document _config: which values of which documents go
// to a time series database, when, and with which tags.
//
//	{
//	  "documents": {
//	    "current": {
//	      "_tags": {"site": "home"},
//	      "_tsdb_trigger": "on-change",
//	      "heartbeat": {"_tsdb_trigger": "on-update"},
//	      "doors": {"cellar": {"_tsdb_trigger": null}}
//	    }
//	  }
//	}
//
// # The tree
//
// The data of _config has the key documents or nothing; without it nothing is configured.
// Below it stands a tree: names of documents, and below each of them the keys of that
// document, objects inside objects as the document has them. At each level of a document,
// its topmost included, there may be parameters, which begin with an underscore:
//
//   - _tsdb_trigger says when numbers are pushed: "on-update", whenever a put or patch that
//     succeeds has them in its request, or "on-change", when one changes them.
//   - _tags are the tags they are pushed with: an object of texts. The tags of a level don't
//     add to those of the level above, they replace them. name and json_path can't be used:
//     every series has these already.
//
// A parameter holds for its level and for everything below it, up to where it is set again.
// null deletes what was inherited: no trigger, or no tags. A key of a document that itself
// begins with an underscore can't be given parameters of its own, since such names
// are reserved; it is pushed with those of its level. Nor can _config be configured.
//
// Whatever else stands in _config is refused with its place, and so is what would not fit:
// see the limits below.
//
// # The numbers
//
// Numbers and booleans are pushed, true as 1 and false as 0, wherever they can be reached
// through objects alone. Texts, null, and arrays with all that is in them are ignored, and so
// are numbers that no float64 can hold (1e999). Numbers are compared as they are pushed: from
// 1 to 1.0 or to true nothing has changed. A number that was not there before, or was something
// else, has changed, so on-change pushes when a document is created.
// What a patch removes is not pushed.
package twinconfig
