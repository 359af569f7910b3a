// Package console is the hub's web client: one page that connects as a device, over
// WebSocket, to the hub it came from, subscribes and publishes, and shows what comes
// and goes. It is for trying things out and for looking around, as the specification's
// tutorial does with the vendor's web client.
package console

import (
	"embed"
	"net/http"
)

//go:embed page
var page embed.FS

// policy lets the page load nothing but its own files, and connect nowhere but home.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// Handler serves the page at /console and its files below. The page expects MQTT over
// WebSocket beside it, at /mqtt. Behind the # of its address may stand the id of
// the device to connect as, which never reaches a server.
func Handler() http.Handler {
	mux := http.NewServeMux()
	for path, name := range map[string]string{
		"/console":             "index.html",
		"/console/console.css": "console.css",
		"/console/console.js":  "console.js",
		"/console/mqtt.js":     "mqtt.js",
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", policy)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, page, "page/"+name)
		})
	}
	mux.Handle("GET /console/{$}", http.RedirectHandler("/console", http.StatusPermanentRedirect))
	return mux
}
