package twin

// Prefix begins every topic of the in-band API.
const Prefix = "$SCW/twins/"

// Me stands for the connection's own twin in a topic.
const Me = "me"

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

// ParseTopic reads a topic. It refuses anything that is not exactly one of the
// two forms with a known method and result.
func ParseTopic(s string) (Topic, error) { panic("not yet") }

// String is the topic as it goes over the wire.
func (t Topic) String() string { panic("not yet") }

// Response is the topic of the answer r to request t.
func (t Topic) Response(r Result) Topic { t.Result = r; return t }
