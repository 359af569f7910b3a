package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

const (
	deviceColumns = `devices.id, devices.name, allow_insecure, allow_multiple_connections, created, updated, last_activity,
	description, disabled, read_only, certificate, custom_certificate, secret, message_filters`
	selectDevice = "SELECT " + deviceColumns + " FROM devices"

	// selectPair has a row for a device, whose document is NULL where there is none.
	selectPair = "SELECT " + deviceColumns + `, documents.version, documents.data
		FROM devices LEFT JOIN documents ON documents.twin = devices.id AND documents.name = ?2 WHERE devices.id = ?1`
)

// scanDevice reads a row of selectDevice.
func scanDevice(row scanner) (registry.Device, error) {
	p, err := scanColumns(row, len(pairRow{}.columns)-2)
	return p.Device, err
}

// scanPair reads a row of selectPair.
func scanPair(row scanner) (pair, error) { return scanColumns(row, len(pairRow{}.columns)) }

// A pair is a device and a document of its twin.
type pair struct {
	registry.Device
	docstore.Document
}

// A pairRow is all that a row of selectPair is scanned into.
type pairRow struct {
	pair
	created, updated, lastActivity int64
	readOnly                       string
	secret, filters                []byte
	columns                        [16]any
}

// pairRows are some that nobody uses: every request needs one, and it is half of the memory that a get takes.
var pairRows = sync.Pool{New: func() any { return new(pairRow) }}

// scanColumns reads the first n columns of a row of selectPair.
func scanColumns(row scanner, n int) (pair, error) {
	r := pairRows.Get().(*pairRow)
	defer pairRows.Put(r)
	*r = pairRow{}
	d := &r.Device
	r.columns = [...]any{(*string)(&d.ID), &d.Name, &d.AllowInsecure, &d.AllowMultipleConnections, &r.created, &r.updated, &r.lastActivity,
		&d.Description, &d.Disabled, &r.readOnly, &d.Certificate, &d.CustomCertificate, &r.secret, &r.filters, &r.Version, &r.Data}
	err := row.Scan(r.columns[:n]...)
	d.Created, d.Updated, d.LastActivity = fromMicro(r.created), fromMicro(r.updated), fromMicro(r.lastActivity)
	for name := range strings.FieldsSeq(r.readOnly) {
		d.ReadOnly = append(d.ReadOnly, twin.Name(name))
	}
	copy(d.Secret[:], r.secret) // the schema has checked the length
	d.MessageFilters = r.filters
	return r.pair, err
}

// toMicro is a time as it is stored.
func toMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicro is a time that was stored.
func fromMicro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Device implements [registry.Registry].
func (r *Registry) Device(ctx context.Context, id twin.ID) (registry.Device, error) {
	return find(ctx, r, "a device", registry.ErrNoDevice, selectDevice+" WHERE id = ?", scanDevice, string(id))
}

// DeviceByName implements [registry.Registry].
func (r *Registry) DeviceByName(ctx context.Context, name string) (registry.Device, error) {
	return find(ctx, r, "a device", registry.ErrNoDevice, selectDevice+" WHERE name = ?", scanDevice, name)
}

// DeviceByFingerprint implements [registry.Registry].
func (r *Registry) DeviceByFingerprint(ctx context.Context, fingerprint [32]byte) (registry.Device, error) {
	return find(ctx, r, "a device", registry.ErrNoDevice, selectDevice+" WHERE fingerprint = ?", scanDevice, fingerprint[:])
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
		case tx.certificateTaken(d):
			return registry.ErrCertificateTaken
		}
		tx.deleteAll(d.ID)
		tx.exec("INSERT INTO devices (id, name, created, allow_insecure, allow_multiple_connections) VALUES (?, ?, ?, 0, 0)",
			string(d.ID), d.Name, toMicro(d.Created))
		tx.setDevice(d)
		return nil
	})
}

// UpdateDevice implements [registry.Registry].
func (r *Registry) UpdateDevice(ctx context.Context, id twin.ID, change func(*registry.Device) error) (registry.Device, error) {
	const query = selectDevice + " WHERE id = ?"
	var kept registry.Device
	err := r.write(ctx, func(tx *tx) error {
		old, ok := queryRow(tx, scanDevice, query, string(id))
		if !ok {
			return registry.ErrNoDevice
		}
		d := old
		if err := change(&d); err != nil {
			return err
		}
		d.ID, d.Name, d.Created = old.ID, old.Name, old.Created
		if tx.certificateTaken(d) {
			return registry.ErrCertificateTaken
		}
		tx.setDevice(d)
		kept, _ = queryRow(tx, scanDevice, query, string(id))
		return nil
	})
	if err != nil {
		return registry.Device{}, err
	}
	return kept, nil
}

// certificateTaken tells whether another device has d's certificate.
func (t *tx) certificateTaken(d registry.Device) bool {
	fingerprint := d.Fingerprint()
	return len(d.Certificate) > 0 && t.exists("SELECT 1 FROM devices WHERE fingerprint = ? AND id <> ?", fingerprint[:], string(d.ID))
}

// setDevice writes all that can change of a device.
func (t *tx) setDevice(d registry.Device) {
	names := make([]string, len(d.ReadOnly))
	for i, name := range d.ReadOnly {
		names[i] = string(name)
	}
	var certificate, fingerprint, secret []byte // nil is NULL
	if len(d.Certificate) > 0 {
		sum := d.Fingerprint()
		certificate, fingerprint = d.Certificate, sum[:]
	}
	if d.HasSecret() {
		secret = d.Secret[:]
	}
	t.exec(`UPDATE devices SET allow_insecure = ?, allow_multiple_connections = ?, updated = ?, last_activity = ?, description = ?, disabled = ?,
		read_only = ?, certificate = ?, fingerprint = ?, custom_certificate = ?, secret = ?, message_filters = ? WHERE id = ?`,
		d.AllowInsecure, d.AllowMultipleConnections, toMicro(d.Updated), toMicro(d.LastActivity), d.Description, d.Disabled,
		strings.Join(names, " "), certificate, fingerprint, d.CustomCertificate, secret,
		sql.NullString{String: string(d.MessageFilters), Valid: d.MessageFilters != nil}, string(d.ID))
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

// Seen implements [registry.Registry].
func (r *Registry) Seen(ctx context.Context, devices map[twin.ID]time.Time, tokens map[string]time.Time) error {
	return r.write(ctx, func(tx *tx) error {
		for id, at := range devices {
			tx.exec("UPDATE devices SET last_activity = max(last_activity, ?) WHERE id = ?", toMicro(at), string(id))
		}
		for name, at := range tokens {
			tx.exec("UPDATE tokens SET last_used = max(last_used, ?) WHERE name = ?", toMicro(at), name)
		}
		return nil
	})
}
