package docstore_test

import (
	"errors"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/twin"
)

func TestNextVersion(t *testing.T) {
	for _, test := range []struct {
		name   string
		cond   docstore.If
		actual uint32
		want   uint32 // 0 = refused
	}{
		{"another version", 3, 4, 0},
		{"a version of nothing", 1, 0, 0},
		{"absent but there", docstore.Absent, 1, 0},
		{"after the last version", docstore.Any, twin.MaxVersion, 0},
		{"after the last version, which is named", twin.MaxVersion, twin.MaxVersion, 0},
		{"the first", docstore.Absent, 0, 1},
		{"any", docstore.Any, 7, 8},
		{"the last", docstore.Any, twin.MaxVersion - 1, twin.MaxVersion},
	} {
		got, err := test.cond.Next(test.actual)
		if got != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("%s: got version %d, error %v; want version %d", test.name, got, err, test.want)
		}
		invalid, ok := errors.AsType[*twin.InvalidError](err)
		if last := test.actual == twin.MaxVersion; ok != last || last && (invalid.Argument != "version" || invalid.Reason != "constraint") {
			t.Errorf("%s: got error %#v", test.name, err)
		}
	}
}
