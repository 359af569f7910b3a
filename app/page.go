package app

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
)

//go:embed page
var pageFiles embed.FS

// pageTypes are the content types of the page's files. Those of the computer may differ.
var pageTypes = map[string]string{
	".html":        "text/html; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".json":        "application/json",
	".webmanifest": "application/manifest+json",
	".svg":         "image/svg+xml",
	".png":         "image/png",
}

// servePage serves the page's files. All paths in them are relative, so that the page can live under any prefix, and it asks for api/
// beside itself.
//
// A browser asks each time whether a file is still the same, so that an update of the app is an update of the page.
func servePage() http.Handler {
	mux := http.NewServeMux()
	err := fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := pageFiles.ReadFile(name)
		if err != nil {
			return err
		}
		pattern := name[len("page"):]
		if pattern == "/index.html" {
			pattern = "/{$}"
		}
		mux.Handle("GET "+pattern, pageFile(pageTypes[path.Ext(name)], content))
		return nil
	})
	if err != nil {
		panic(err) // the files are in the program
	}
	return mux
}

func pageFile(contentType string, content []byte) http.Handler {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write(content) // an error is the viewer's, who is gone
	})
}
