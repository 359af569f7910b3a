package docstore_test

import (
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) docstore.Store { return docstore.NewMemory() })
}
