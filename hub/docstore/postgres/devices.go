package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

const (
	deviceColumns = `id, name, created, allow_insecure, allow_multiple_connections, updated, last_activity, description, disabled,
		read_only, certificate, custom_certificate, secret, message_filters`
	selectDevice = "SELECT " + deviceColumns + ", epoch FROM twinpanel.devices"
	insertDevice = "INSERT INTO twinpanel.devices (" + deviceColumns + `, fingerprint)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
	updateDevice = `UPDATE twinpanel.devices SET name = $2, created = $3, allow_insecure = $4, allow_multiple_connections = $5, updated = $6,
		last_activity = $7, description = $8, disabled = $9, read_only = $10, certificate = $11, custom_certificate = $12, secret = $13,
		message_filters = $14, fingerprint = $15 WHERE id = $1 RETURNING ` + deviceColumns + ", epoch"
)

// scanDevice reads a row of selectDevice.
func scanDevice(row pgx.CollectableRow) (registry.Device, error) { return scanDeviceAnd(row) }

// scanDeviceAnd reads a row of deviceColumns, the epoch and others behind them.
func scanDeviceAnd(row pgx.CollectableRow, others ...any) (registry.Device, error) {
	var d registry.Device
	var created, updated, lastActivity int64
	var readOnly string
	var secret, description []byte
	err := row.Scan(append([]any{&d.ID, &d.Name, &created, &d.AllowInsecure, &d.AllowMultipleConnections, &updated, &lastActivity, &description,
		&d.Disabled, &readOnly, &d.Certificate, &d.CustomCertificate, &secret, &d.MessageFilters, &d.Epoch}, others...)...)
	d.Created, d.Updated, d.LastActivity = fromMicro(created), fromMicro(updated), fromMicro(lastActivity)
	for name := range strings.FieldsSeq(readOnly) {
		d.ReadOnly = append(d.ReadOnly, twin.Name(name))
	}
	copy(d.Secret[:], secret) // the schema has checked the length
	d.Description = string(description)
	return d, err
}

// deviceValues are the values of deviceColumns, and the fingerprint.
func deviceValues(d registry.Device) []any {
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
	return []any{string(d.ID), d.Name, toMicro(d.Created), d.AllowInsecure, d.AllowMultipleConnections, toMicro(d.Updated),
		toMicro(d.LastActivity), []byte(d.Description), d.Disabled, strings.Join(names, " "), certificate, d.CustomCertificate, secret, []byte(d.MessageFilters), fingerprint}
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

// taken says what it means that a row can't be there twice, by the name of the constraint.
func taken(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || e.Code != uniqueViolation {
		return err
	}
	switch e.ConstraintName {
	case "devices_id":
		return registry.ErrIDTaken
	case "devices_name", "tokens_name":
		return registry.ErrNameTaken
	case "devices_fingerprint":
		return registry.ErrCertificateTaken
	case "tokens_hash":
		return registry.ErrSecretTaken
	}
	return err
}

// Device implements [registry.Registry].
func (db *DB) Device(ctx context.Context, id twin.ID) (registry.Device, error) {
	return db.device(ctx, " WHERE id = $1", string(id))
}

// DeviceByName implements [registry.Registry].
func (db *DB) DeviceByName(ctx context.Context, name string) (registry.Device, error) {
	return db.device(ctx, " WHERE name = $1", name)
}

// DeviceByFingerprint implements [registry.Registry].
func (db *DB) DeviceByFingerprint(ctx context.Context, fingerprint [32]byte) (registry.Device, error) {
	return db.device(ctx, " WHERE fingerprint = $1", fingerprint[:])
}

func (db *DB) device(ctx context.Context, where string, by any) (registry.Device, error) {
	return one(ctx, db, "a device", registry.ErrNoDevice, scanDevice, selectDevice+where, by)
}

// AddDevice implements [registry.Registry].
func (db *DB) AddDevice(ctx context.Context, d registry.Device) error {
	if err := registry.CheckName(d.Name); err != nil {
		return err
	}
	return db.transact(ctx, func(t *transaction) error {
		if _, err := t.exec(insertDevice, deviceValues(d)...); err != nil {
			return taken(err)
		}
		return t.deleteDocuments(d.ID)
	})
}

// UpdateDevice implements [registry.Registry].
func (db *DB) UpdateDevice(ctx context.Context, id twin.ID, change func(*registry.Device) error) (kept registry.Device, err error) {
	err = db.transact(ctx, func(t *transaction) error {
		old, ok, err := queryOne(t, scanDevice, selectDevice+" WHERE id = $1 FOR UPDATE", string(id))
		switch {
		case err == nil && !ok, code(err) == notText:
			return registry.ErrNoDevice
		case err != nil:
			return err
		}
		d := old
		if err := t.decide(func() error { return change(&d) }); err != nil {
			return err
		}
		d.ID, d.Name, d.Created = old.ID, old.Name, old.Created
		kept, _, err = queryOne(t, scanDevice, updateDevice, deviceValues(d)...)
		return taken(err)
	})
	if err != nil {
		return registry.Device{}, err
	}
	return kept, nil
}

// RemoveDevice implements [registry.Registry].
func (db *DB) RemoveDevice(ctx context.Context, id twin.ID) error {
	return db.transact(ctx, func(t *transaction) error {
		n, err := t.exec("DELETE FROM twinpanel.devices WHERE id = $1", string(id))
		switch {
		case err == nil && n == 0, code(err) == notText:
			return registry.ErrNoDevice
		case err != nil:
			return err
		}
		if err := t.deleteDocuments(id); err != nil {
			return err
		}
		_, err = t.exec("DELETE FROM twinpanel.tokens WHERE device = $1", string(id))
		return err
	})
}

// Devices implements [registry.Registry].
func (db *DB) Devices(ctx context.Context) ([]registry.Device, error) {
	return list(ctx, db, "devices", scanDevice, selectDevice+" ORDER BY name")
}

// Seen implements [registry.Registry]. With nothing to note it writes nothing, but fails where a write would.
func (db *DB) Seen(ctx context.Context, devices map[twin.ID]time.Time, tokens map[string]time.Time) error {
	ids, seen := columns(devices)
	names, used := columns(tokens)
	return db.transact(ctx, func(t *transaction) error {
		for _, s := range []step{
			{"SELECT id FROM twinpanel.devices WHERE id = ANY ($1) ORDER BY id FOR UPDATE", []any{ids}},
			{`UPDATE twinpanel.devices AS d SET last_activity = s.at FROM unnest($1::text[], $2::bigint[]) AS s (id, at)
				WHERE d.id = s.id AND d.last_activity < s.at`, []any{ids, seen}},
			{"SELECT name FROM twinpanel.tokens WHERE name = ANY ($1) ORDER BY name FOR UPDATE", []any{names}},
			{`UPDATE twinpanel.tokens AS t SET last_used = s.at FROM unnest($1::text[], $2::bigint[]) AS s (name, at)
				WHERE t.name = s.name AND t.last_used < s.at`, []any{names, used}},
		} {
			if _, err := t.exec(s.sql, s.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// columns are what a map holds, as the two columns of a table.
func columns[K ~string](times map[K]time.Time) (names []string, micros []int64) {
	for name, at := range times {
		names, micros = append(names, string(name)), append(micros, toMicro(at))
	}
	return slices.Clip(names), slices.Clip(micros)
}
