package sqlite

import (
	"context"

	"github.com/twinpanel/twinpanel/hub/registry"
)

const selectToken = "SELECT name, hash, created, read_only, device, last_used FROM tokens"

// scanToken reads a row of selectToken.
func scanToken(row scanner) (registry.Token, error) {
	var t registry.Token
	var hash []byte
	var created, lastUsed int64
	err := row.Scan(&t.Name, &hash, &created, &t.ReadOnly, (*string)(&t.Device), &lastUsed)
	copy(t.Hash[:], hash) // the schema has checked the length
	t.Created, t.LastUsed = fromMicro(created), fromMicro(lastUsed)
	return t, err
}

// TokenByHash implements [registry.Registry].
func (r *Registry) TokenByHash(ctx context.Context, hash [32]byte) (registry.Token, error) {
	return find(ctx, r, "a token", registry.ErrNoToken, selectToken+" WHERE hash = ?", scanToken, hash[:])
}

// AddToken implements [registry.Registry].
func (r *Registry) AddToken(ctx context.Context, t registry.Token) error {
	if err := registry.CheckName(t.Name); err != nil {
		return err
	}
	return r.write(ctx, func(tx *tx) error {
		switch {
		case tx.exists("SELECT 1 FROM tokens WHERE name = ?", t.Name):
			return registry.ErrNameTaken
		case tx.exists("SELECT 1 FROM tokens WHERE hash = ?", t.Hash[:]):
			return registry.ErrSecretTaken
		case t.Device != "" && !tx.exists("SELECT 1 FROM devices WHERE id = ?", string(t.Device)):
			return registry.ErrNoDevice
		}
		tx.exec("INSERT INTO tokens (name, hash, created, read_only, device, last_used) VALUES (?, ?, ?, ?, ?, ?)",
			t.Name, t.Hash[:], toMicro(t.Created), t.ReadOnly, string(t.Device), toMicro(t.LastUsed))
		return nil
	})
}

// RemoveToken implements [registry.Registry].
func (r *Registry) RemoveToken(ctx context.Context, name string) error {
	return r.write(ctx, func(tx *tx) error {
		if !tx.exists("SELECT 1 FROM tokens WHERE name = ?", name) {
			return registry.ErrNoToken
		}
		tx.exec("DELETE FROM tokens WHERE name = ?", name)
		return nil
	})
}

// Tokens implements [registry.Registry].
func (r *Registry) Tokens(ctx context.Context) ([]registry.Token, error) {
	return list(ctx, r, "tokens", selectToken+" ORDER BY name", scanToken)
}
