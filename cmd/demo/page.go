package main

import (
	"embed"
	"net/http"
	"strings"
)

//go:embed page
var page embed.FS

// servePage serves the page that has phone, house and wire on it. It loads nothing from elsewhere, runs nothing but its own
// files, frames only this origin and can't be framed.
func servePage(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"connect-src 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	switch name {
	case "index.html", "demo.css", "demo.js":
		http.ServeFileFS(w, r, page, "page/"+name)
	default:
		http.NotFound(w, r)
	}
}
