package main

import (
	"io/fs"
	"path/filepath"

	"github.com/twinpanel/twinpanel/hub/metrics"
)

// watchDisk adds to the metrics how large the data is, and how much room there is for it.
func watchDisk(m *metrics.Metrics, dir string) {
	m.Gauge("data_bytes", "Size of the data folder's files.", func() float64 { return float64(folderSize(dir)) })
	m.Gauge("data_free_bytes", "Room for the hub on the file system of the data folder.", func() float64 { return freeBytes(dir) })
}

// folderSize is the size of all files of a folder. What vanishes meanwhile has none.
func folderSize(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size
}
