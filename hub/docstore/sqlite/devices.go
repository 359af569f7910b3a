package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

const selectDevice = "SELECT id, name, allow_insecure, allow_multiple_connections, created FROM devices"

// scanDevice reads a row of selectDevice.
func scanDevice(row scanner) (registry.Device, error) {
	var d registry.Device
	var created int64
	err := row.Scan(&d.ID, &d.Name, &d.AllowInsecure, &d.AllowMultipleConnections, &created)
	d.Created = time.UnixMicro(created).UTC()
	return d, err
}

// Device implements [registry.Registry].
func (r *Registry) Device(ctx context.Context, id twin.ID) (registry.Device, error) {
	d, err := scanDevice(r.getDevice.QueryRowContext(ctx, string(id)))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return registry.Device{}, registry.ErrNoDevice
	case err != nil:
		return registry.Device{}, r.readError("a device", err)
	}
	return d, nil
}

// AddDevice implements [registry.Registry].
func (r *Registry) AddDevice(ctx context.Context, d registry.Device) error {
	if err := registry.CheckName(d.Name); err != nil {
		return err
	}
	return r.write(ctx, func(tx *tx) error {
		switch {
		case tx.exists("SELECT 1 FROM devices WHERE id = ?", string(d.ID)):
			return registry.ErrIDTaken
		case tx.exists("SELECT 1 FROM devices WHERE name = ?", d.Name):
			return registry.ErrNameTaken
		}
		tx.deleteAll(d.ID)
		tx.exec("INSERT INTO devices (id, name, allow_insecure, allow_multiple_connections, created) VALUES (?, ?, ?, ?, ?)",
			string(d.ID), d.Name, d.AllowInsecure, d.AllowMultipleConnections, d.Created.UnixMicro())
		return nil
	})
}

// RemoveDevice implements [registry.Registry].
func (r *Registry) RemoveDevice(ctx context.Context, id twin.ID) error {
	return r.write(ctx, func(tx *tx) error {
		if !tx.exists("SELECT 1 FROM devices WHERE id = ?", string(id)) {
			return registry.ErrNoDevice
		}
		tx.deleteAll(id)
		tx.exec("DELETE FROM tokens WHERE device = ?", string(id))
		tx.exec("DELETE FROM devices WHERE id = ?", string(id))
		return nil
	})
}

// Devices implements [registry.Registry].
func (r *Registry) Devices(ctx context.Context) ([]registry.Device, error) {
	return list(ctx, r, "devices", selectDevice+" ORDER BY name", scanDevice)
}
