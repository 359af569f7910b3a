package interop

import (
	_ "github.com/chromedp/chromedp"
	_ "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	_ "github.com/twinpanel/twinpanel/hub/hubtest"
)
