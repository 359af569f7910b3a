package sqlite

import (
	"context"
	"errors"

	"github.com/twinpanel/twinpanel/hub/registry"
)

const (
	selectHub = `SELECT id, name, graphite, auto_provisioning, project_id, organization_id, disable_events,
	events_topic_prefix, created, updated FROM hub`
	selectAuthorities = "SELECT kind, certificate, private_key, cross_signed, created FROM authorities ORDER BY position"
)

var errNoHub = errors.New("it is missing from the database")

// scanHub reads a row of selectHub.
func scanHub(row scanner) (registry.Hub, error) {
	var h registry.Hub
	var created, updated int64
	err := row.Scan(&h.ID, &h.Name, &h.Graphite, &h.AutoProvisioning, &h.ProjectID, &h.OrganizationID, &h.DisableEvents,
		&h.EventsTopicPrefix, &created, &updated)
	h.Created, h.Updated = fromMicro(created), fromMicro(updated)
	return h, err
}

// scanAuthority reads a row of selectAuthorities.
func scanAuthority(row scanner) (registry.Authority, error) {
	var a registry.Authority
	var created int64
	err := row.Scan(&a.Kind, &a.Certificate, &a.Key, &a.Cross, &created)
	a.Created = fromMicro(created)
	return a, err
}

// Hub implements [registry.Registry].
func (r *Registry) Hub(ctx context.Context) (registry.Hub, error) {
	return find(ctx, r, "the hub's record", errNoHub, selectHub, scanHub)
}

// UpdateHub implements [registry.Registry].
func (r *Registry) UpdateHub(ctx context.Context, change func(*registry.Hub) error) (registry.Hub, error) {
	var kept registry.Hub
	err := r.write(ctx, func(tx *tx) error {
		h, _ := queryRow(tx, scanHub, selectHub)
		if tx.err != nil {
			return nil
		}
		if err := change(&h); err != nil {
			return err
		}
		tx.setHub(h)
		kept, _ = queryRow(tx, scanHub, selectHub)
		return nil
	})
	if err != nil {
		return registry.Hub{}, err
	}
	return kept, nil
}

// setHub writes the hub's row, or makes it.
func (t *tx) setHub(h registry.Hub) {
	t.exec(`INSERT OR REPLACE INTO hub (only, id, name, graphite, auto_provisioning, project_id, organization_id, disable_events,
		events_topic_prefix, created, updated) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		h.ID, h.Name, h.Graphite, h.AutoProvisioning, h.ProjectID, h.OrganizationID, h.DisableEvents,
		h.EventsTopicPrefix, toMicro(h.Created), toMicro(h.Updated))
}

// Authorities implements [registry.Registry].
func (r *Registry) Authorities(ctx context.Context) ([]registry.Authority, error) {
	return list(ctx, r, "authorities", selectAuthorities, scanAuthority)
}

// UpdateAuthorities implements [registry.Registry].
func (r *Registry) UpdateAuthorities(ctx context.Context, change func([]registry.Authority) ([]registry.Authority, error)) ([]registry.Authority, error) {
	var kept []registry.Authority
	err := r.write(ctx, func(tx *tx) error {
		old := queryAll(tx, scanAuthority, selectAuthorities)
		if tx.err != nil {
			return nil
		}
		all, err := change(old)
		if err == nil {
			err = registry.CheckAuthorities(all)
		}
		if err != nil {
			return err
		}
		tx.exec("DELETE FROM authorities")
		for i, a := range all {
			tx.exec("INSERT INTO authorities (position, kind, certificate, private_key, cross_signed, created) VALUES (?, ?, ?, ?, ?, ?)",
				i, string(a.Kind), a.Certificate, a.Key, a.Cross, toMicro(a.Created))
		}
		kept = queryAll(tx, scanAuthority, selectAuthorities)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}
