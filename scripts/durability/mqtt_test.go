//go:build linux

package main

import (
	"io"
	"net"
	"strings"
	"testing"
)

// TestAnswersOfMQTT has a hub of a few bytes answer a put. What counts as an acknowledgement decides what must not
// get lost.
func TestAnswersOfMQTT(t *testing.T) {
	const topic = "$SCW/twins/me/d/put"
	const puback = "\x40\x02\x00\x02"
	answer := func(result, payload string) string {
		body := string(appendString(nil, topic+"/response/"+result)) + payload
		return "\x30" + string(encodeLength(len(body))) + body
	}
	success := answer("success", `{"version":1,"data":{"put":3,"patch":3,"fill":"`+fill(3)+`"}}`)
	mismatch := answer("error", `{"error":"document version mismatch","expected_version":1,"actual_version":2}`)
	trouble := answer("error", `{"error":"internal error: nothing was written"}`)
	tests := []struct {
		name, sends string
		want        outcome
		err         bool
	}{
		{"nothing", "", unknown, true},
		{"half a packet", puback[:3], unknown, true},
		{"PUBACK alone", puback, unknown, true},
		{"answer alone", success, unknown, true},
		{"PUBACK of another packet", "\x40\x02\x00\x09" + success, unknown, true},
		{"answer to another request", puback + strings.ReplaceAll(success, "/d/", "/e/"), unknown, true},
		{"another packet", "\xd0\x00", unknown, true},
		{"trouble", trouble, failed, true},
		{"trouble that is acknowledged", trouble + puback, acknowledged, true},
		{"torn document", puback + strings.Replace(success, `"put":3`, `"put":4`, 1), acknowledged, true},
		{"mismatch", puback + mismatch, refused, false},
		{"success", puback + success, acknowledged, false},
		{"success before PUBACK", success + puback, acknowledged, false},
	}
	for _, tt := range tests {
		hub, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := hub.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			// It hears the client out, so that no reset overtakes the answer.
			io.WriteString(conn, "\x20\x02\x00\x00\x90\x03\x00\x01\x00"+tt.sends)
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
		}()
		c := newMQTTClient(hub.Addr().String(), "device", "name")
		a := c.do("put", "", "d", (&write{id: 3}).body())
		if a.outcome != tt.want || (a.err != nil) != tt.err {
			t.Errorf("%s: got %+v, want outcome %d", tt.name, a, tt.want)
		}
		c.close()
		hub.Close()
	}
}

// TestOvertakenPatch: only a patch is refused because of other writers.
func TestOvertakenPatch(t *testing.T) {
	for method, want := range map[string]outcome{"patch": refused, "put": failed} {
		topic := "$SCW/twins/me/d/" + method
		publish := append(appendString(nil, topic+"/response/error"), `{"error":"too many writers: nothing was written, try again"}`...)
		if a, err := readAnswer(topic, publish); err != nil || a.outcome != want {
			t.Errorf("%s: got %+v, error %v, want outcome %d", method, a, err, want)
		}
	}
}
