package twin_test

import (
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/twin"
)

func TestParseTopicRefuses(t *testing.T) {
	tests := []struct{ name, input, want string }{
		{"empty", "", "outside"},
		{"another tree", "home/door", "outside"},
		{"events", "$SCW/events/error", "outside"},
		{"the prefix alone", "$SCW/twins/", "neither"},
		{"the prefix without its slash", "$SCW/twins", "outside"},
		{"lower case", "$scw/twins/me/desired/get", "outside"},
		{"slash in front", "/$SCW/twins/me/desired/get", "outside"},
		{"no method", "$SCW/twins/me/desired", "neither"},
		{"empty method", "$SCW/twins/me/desired/", "neither"},
		{"empty twin", "$SCW/twins//desired/get", "neither"},
		{"empty document", "$SCW/twins/me//get", "neither"},
		{"slash at the end", "$SCW/twins/me/desired/get/", "neither"},
		{"unknown method", "$SCW/twins/me/desired/delete", "method"},
		{"method in capitals", "$SCW/twins/me/desired/GET", "method"},
		{"document with a slash", "$SCW/twins/me/a/b/get", "method"},
		{"response without a result", "$SCW/twins/me/desired/get/response", "neither"},
		{"empty result", "$SCW/twins/me/desired/get/response/", "result"},
		{"unknown result", "$SCW/twins/me/desired/get/response/maybe", "result"},
		{"something after the result", "$SCW/twins/me/desired/get/response/error/x", "result"},
		{"something else than response", "$SCW/twins/me/desired/get/answer/error", "neither"},
		{"NUL", "$SCW/twins/me/des\x00ired/get", "NUL"},
		{"one-level wildcard", "$SCW/twins/+/desired/get", "wildcard"},
		{"wildcard for the rest", "$SCW/twins/me/#", "wildcard"},
		{"wildcard inside a name", "$SCW/twins/me/a#/get", "wildcard"},
		{"invalid UTF-8", "$SCW/twins/me/\xff/get", "UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := twin.ParseTopic(tt.input)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseTopic(%q) = %+v, %v; want an error about %q", tt.input, got, err, tt.want)
			}
		})
	}
}

func TestParseTopicReadsBothForms(t *testing.T) {
	const id = "0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f"
	tests := []struct {
		input string
		want  twin.Topic
	}{
		{"$SCW/twins/me/desired/get", twin.Topic{Twin: "me", Document: "desired", Method: twin.Get}},
		{"$SCW/twins/me/get/put", twin.Topic{Twin: "me", Document: "get", Method: twin.Put}},
		{"$SCW/twins/" + id + "/_config/patch", twin.Topic{Twin: id, Document: "_config", Method: twin.Patch}},
		{"$SCW/twins/me/bad name/put", twin.Topic{Twin: "me", Document: "bad name", Method: twin.Put}},
		{"$SCW/twins/me/desired/get/response/success", twin.Topic{Twin: "me", Document: "desired", Method: twin.Get, Result: twin.Success}},
		{"$SCW/twins/me/response/put/response/error", twin.Topic{Twin: "me", Document: "response", Method: twin.Put, Result: twin.Error}},
	}
	for _, tt := range tests {
		if got, err := twin.ParseTopic(tt.input); err != nil || got != tt.want {
			t.Errorf("ParseTopic(%q) = %+v, %v; want %+v", tt.input, got, err, tt.want)
		}
		if got := tt.want.String(); got != tt.input {
			t.Errorf("topic is written %q, want %q", got, tt.input)
		}
	}
}

func TestTopicResponseMirrorsTheRequest(t *testing.T) {
	request, err := twin.ParseTopic("$SCW/twins/me/bad name/put")
	if err != nil {
		t.Fatal(err)
	}
	const want = "$SCW/twins/me/bad name/put/response/error"
	if got := request.Response(twin.Error).String(); got != want {
		t.Errorf("answer goes to %q, want %q", got, want)
	}
}

func FuzzTopic(f *testing.F) {
	for _, s := range []string{
		"$SCW/twins/me/desired/get", "$SCW/twins/me/desired/put/response/success", "$SCW/twins/me/#",
		"$SCW/twins//x/patch", "$SCW/twins/a/b/get/response/error", "$SCW/twins/me/a\x00/get",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		topic, err := twin.ParseTopic(s)
		if err != nil {
			return
		}
		if got := topic.String(); got != s {
			t.Errorf("%q reads as %+v, which writes %q", s, topic, got)
		}
		if strings.ContainsAny(s, "+#\x00") || topic.Twin == "" || topic.Document == "" {
			t.Errorf("accepted %q as %+v", s, topic)
		}
	})
}
