package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/registry"
)

const (
	hubColumns = `id, name, graphite, auto_provisioning, project_id, organization_id, disable_events,
		events_topic_prefix, created, updated`
	selectHub = "SELECT " + hubColumns + " FROM twinpanel.hub"
	insertHub = "INSERT INTO twinpanel.hub (single, " + hubColumns + ") VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (single) DO NOTHING"
	updateHub = `UPDATE twinpanel.hub SET id = $1, name = $2, graphite = $3, auto_provisioning = $4, project_id = $5, organization_id = $6,
		disable_events = $7, events_topic_prefix = $8, created = $9, updated = $10 RETURNING ` + hubColumns

	authorityColumns  = "kind, certificate, private_key, cross_signed, created"
	selectAuthorities = "SELECT " + authorityColumns + " FROM twinpanel.authorities ORDER BY position"
)

// scanHub reads a row of hubColumns.
func scanHub(row pgx.CollectableRow) (registry.Hub, error) {
	var h registry.Hub
	var created, updated int64
	var name, graphite, project, organization, prefix []byte
	err := row.Scan(&h.ID, &name, &graphite, &h.AutoProvisioning, &project, &organization, &h.DisableEvents, &prefix, &created, &updated)
	h.Name, h.Graphite, h.ProjectID, h.OrganizationID, h.EventsTopicPrefix =
		string(name), string(graphite), string(project), string(organization), string(prefix)
	h.Created, h.Updated = fromMicro(created), fromMicro(updated)
	return h, err
}

// hubValues are the values of hubColumns.
func hubValues(h registry.Hub) []any {
	return []any{h.ID, []byte(h.Name), []byte(h.Graphite), h.AutoProvisioning, []byte(h.ProjectID), []byte(h.OrganizationID), h.DisableEvents,
		[]byte(h.EventsTopicPrefix), toMicro(h.Created), toMicro(h.Updated)}
}

// scanAuthority reads a row of selectAuthorities.
func scanAuthority(row pgx.CollectableRow) (registry.Authority, error) {
	var a registry.Authority
	var created int64
	err := row.Scan(&a.Kind, &a.Certificate, &a.Key, &a.Cross, &created)
	a.Created = fromMicro(created)
	return a, err
}

// Hub implements [registry.Registry].
func (db *DB) Hub(ctx context.Context) (registry.Hub, error) {
	return one(ctx, db, "the hub's record", errNoRow, scanHub, selectHub)
}

// UpdateHub implements [registry.Registry].
func (db *DB) UpdateHub(ctx context.Context, change func(*registry.Hub) error) (kept registry.Hub, err error) {
	err = db.transact(ctx, func(t *transaction) error {
		h, err := t.lockHub()
		if err != nil {
			return err
		}
		if err := t.decide(func() error { return change(&h) }); err != nil {
			return err
		}
		kept, _, err = queryOne(t, scanHub, updateHub, hubValues(h)...)
		return err
	})
	if err != nil {
		return registry.Hub{}, err
	}
	return kept, nil
}

// lockHub returns the hub's record, which is also the lock of the authorities.
func (t *transaction) lockHub() (registry.Hub, error) {
	h, ok, err := queryOne(t, scanHub, selectHub+" FOR UPDATE")
	if err == nil && !ok {
		err = &failure{errNoRow}
	}
	return h, err
}

// Authorities implements [registry.Registry].
func (db *DB) Authorities(ctx context.Context) ([]registry.Authority, error) {
	return list(ctx, db, "authorities", scanAuthority, selectAuthorities)
}

// UpdateAuthorities implements [registry.Registry].
func (db *DB) UpdateAuthorities(ctx context.Context, change func([]registry.Authority) ([]registry.Authority, error)) (kept []registry.Authority, err error) {
	err = db.transact(ctx, func(t *transaction) error {
		if _, err := t.lockHub(); err != nil {
			return err
		}
		all, err := queryAll(t, scanAuthority, selectAuthorities)
		if err != nil {
			return err
		}
		if err := t.decide(func() (err error) { all, err = change(all); return err }); err != nil {
			return err
		}
		if err := registry.CheckAuthorities(all); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM twinpanel.authorities"); err != nil {
			return err
		}
		for i, a := range all {
			if _, err := t.exec("INSERT INTO twinpanel.authorities (position, "+authorityColumns+") VALUES ($1, $2, $3, $4, $5, $6)",
				i, string(a.Kind), a.Certificate, a.Key, a.Cross, toMicro(a.Created)); err != nil {
				return err
			}
		}
		kept, err = queryAll(t, scanAuthority, selectAuthorities)
		return err
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}
