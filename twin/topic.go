package twin

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Prefix begins every topic of the in-band API.
const Prefix = "$SCW/twins/"

// Me stands for the connection's own twin in a topic.
const Me = "me"

// NoticeTopic is where a hub that has notices says that a document has changed: to
// connections that subscribed to it with a filter that ends in /changed. The payload is
// {"version":N}, N = 0 when there is no such document. id is Me or the twin's id.
func NoticeTopic(id string, document Name) string {
	return Prefix + id + "/" + string(document) + "/changed"
}

// A Method is what a request does with a document.
type Method string

// The three methods.
const (
	Get   Method = "get"
	Put   Method = "put"
	Patch Method = "patch"
)

// A Result says whether a topic is a request or which answer it carries.
type Result string

// The forms of a topic: $SCW/twins/T/D/M and $SCW/twins/T/D/M/response/R.
const (
	Request Result = ""
	Success Result = "success"
	Error   Result = "error"
)

// A Topic is a parsed topic of the in-band API. Twin and Document stand as they
// were written, so that an answer mirrors the form of its request and a bad
// name can still be answered; check them with [ParseID] and [ParseName].
type Topic struct {
	Twin     string // "me" or an id
	Document string
	Method   Method
	Result   Result
}

// Why a text is no topic of ours. The text itself is left out: it can be 64 kB long.
var (
	errTopicPrefix = errors.New("topic is outside " + Prefix)
	errTopicText   = errors.New("topic holds a wildcard, a NUL or bytes that are not UTF-8")
	errTopicForm   = errors.New("topic is neither " + Prefix + "TWIN/DOCUMENT/METHOD nor that with /response/RESULT")
	errTopicMethod = errors.New("topic has an unknown method: use get, put or patch")
	errTopicResult = errors.New("topic has an unknown result: use success or error")
)

// ParseTopic reads a topic. It refuses anything that is not exactly one of the
// two forms with a known method and result.
func ParseTopic(s string) (Topic, error) {
	rest, ok := strings.CutPrefix(s, Prefix)
	if !ok {
		return Topic{}, errTopicPrefix
	}
	if strings.ContainsAny(rest, "+#\x00") || !utf8.ValidString(rest) {
		return Topic{}, errTopicText
	}
	var t Topic
	t.Twin, rest, _ = strings.Cut(rest, "/")
	t.Document, rest, _ = strings.Cut(rest, "/")
	method, rest, answer := strings.Cut(rest, "/")
	if t.Twin == "" || t.Document == "" || method == "" {
		return Topic{}, errTopicForm
	}
	switch t.Method = Method(method); t.Method {
	case Get, Put, Patch:
	default:
		return Topic{}, errTopicMethod
	}
	if !answer {
		return t, nil
	}
	result, ok := strings.CutPrefix(rest, "response/")
	if !ok {
		return Topic{}, errTopicForm
	}
	switch t.Result = Result(result); t.Result {
	case Success, Error:
		return t, nil
	default:
		return Topic{}, errTopicResult
	}
}

// String is the topic as it goes over the wire.
func (t Topic) String() string {
	request := Prefix + t.Twin + "/" + t.Document + "/" + string(t.Method)
	if t.Result == Request {
		return request
	}
	return request + "/response/" + string(t.Result)
}

// Response is the topic of the answer r to request t.
func (t Topic) Response(r Result) Topic { t.Result = r; return t }
