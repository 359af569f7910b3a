package hub_test

import (
	"context"
	"testing"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/twin"
)

// A worn store has had four billion writes of each document.
type worn struct{ docstore.Store }

func (worn) Get(context.Context, docstore.Key) (docstore.Document, error) {
	return docstore.Document{Version: twin.MaxVersion, Data: []byte("{}")}, nil
}

func (worn) Put(_ context.Context, _ docstore.Key, cond docstore.If, _ []byte) (uint32, error) {
	return cond.Next(twin.MaxVersion)
}

func TestWriteAfterTheLastVersionIsRefused(t *testing.T) {
	const text = "the document is at 4294967295, the last version there is: delete it and put it anew"
	rest := newHub(t, worn{docstore.NewMemory()}).REST()
	for _, method := range []string{"PUT", "PATCH"} {
		for _, body := range []string{"{}", `{"version":4294967295}`} {
			checkAnswer(t, call(rest, method, document, body), 400, invalid("version", "constraint", text))
		}
	}
	h := hubtest.Start(t, func(c *hub.Config) { c.Documents = worn{c.Documents} })
	mqtt := wireTwin(h, h.AddDevice("panel").ID)
	for call, write := range map[string]func(context.Context, twin.Name, twin.Update) (twin.Document, error){"put": mqtt.Put, "patch": mqtt.Patch} {
		if _, err := write(t.Context(), "desired", twin.Update{}); err == nil || err.Error() != "version: "+text {
			t.Errorf("%s over MQTT: got %v, want %s", call, err, text)
		}
	}
}
