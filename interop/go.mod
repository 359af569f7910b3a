module github.com/twinpanel/twinpanel/interop

go 1.26.0

replace github.com/twinpanel/twinpanel => ../

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/scaleway/scaleway-sdk-go v1.39.0
	github.com/twinpanel/twinpanel v0.0.0-00010101000000-000000000000
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/go-json-experiment/json v0.0.0-20260214004413-d219187c3433 // indirect
	github.com/google/uuid v1.6.0 // indirect
	gopkg.in/yaml.v2 v2.4.0 // indirect
)
