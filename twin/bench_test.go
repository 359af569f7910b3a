package twin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/twin"
)

// Documents of two sizes: what an alarm panel publishes, and a large one.
var benchSizes = []struct{ name, data, patch string }{
	{
		"panel",
		`{"last_update":"2026-11-21T12:00:00.000Z","alarm_armed":true,"siren_ringing":false,"door_open":false}`,
		`{"last_update":"2026-11-21T12:00:30.000Z","door_open":true}`,
	},
	{
		"16kB",
		`{` + strings.TrimPrefix(benchRooms(100), ",") + `}`,
		`{"room042":{"sensor":{"temperature":19.75,"battery":null}},"last_update":"2026-11-21T12:00:30.000Z"}`,
	},
}

func benchRooms(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"room%03d":{"name":"Room no. %d","doors":[true,false,true],"sensor":{"temperature":21.5,"humidity":48,"battery":2.87,"seen":"2026-11-21T12:00:00.000Z"}}`, i, i)
	}
	return b.String()
}

func BenchmarkParsePut(b *testing.B) {
	for _, size := range benchSizes {
		b.Run("document="+size.name, func(b *testing.B) {
			body := []byte(`{"version":7,"data":` + size.data + `}`)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := twin.ParsePut(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParsePatch(b *testing.B) {
	for _, size := range benchSizes {
		b.Run("document="+size.name, func(b *testing.B) {
			body := []byte(`{"data":` + size.patch + `}`)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := twin.ParsePatch(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	for _, size := range benchSizes {
		b.Run("document="+size.name, func(b *testing.B) {
			data, patch := []byte(size.data), []byte(size.patch)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := twin.Merge(data, patch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDiff(b *testing.B) {
	for _, size := range benchSizes {
		b.Run("document="+size.name, func(b *testing.B) {
			from := []byte(size.data)
			to, err := twin.Merge(from, []byte(size.patch))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(from)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := twin.Diff(from, to); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseTopic(b *testing.B) {
	for _, bm := range []struct{ name, topic string }{
		{"request", "$SCW/twins/me/current/patch"},
		{"answer", "$SCW/twins/me/current/patch/response/success"},
	} {
		b.Run("topic="+bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := twin.ParseTopic(bm.topic); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
