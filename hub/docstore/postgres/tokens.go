package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/registry"
)

const selectToken = "SELECT name, hash, created, read_only, device, last_used FROM twinpanel.tokens"

// scanToken reads a row of selectToken.
func scanToken(row pgx.CollectableRow) (registry.Token, error) {
	var t registry.Token
	var hash []byte
	var created, lastUsed int64
	err := row.Scan(&t.Name, &hash, &created, &t.ReadOnly, &t.Device, &lastUsed)
	copy(t.Hash[:], hash) // the schema has checked the length
	t.Created, t.LastUsed = fromMicro(created), fromMicro(lastUsed)
	return t, err
}

// TokenByHash implements [registry.Registry].
func (db *DB) TokenByHash(ctx context.Context, hash [32]byte) (registry.Token, error) {
	return one(ctx, db, "a token", registry.ErrNoToken, scanToken, selectToken+" WHERE hash = $1", hash[:])
}

// AddToken implements [registry.Registry].
func (db *DB) AddToken(ctx context.Context, token registry.Token) error {
	if err := registry.CheckName(token.Name); err != nil {
		return err
	}
	return db.transact(ctx, func(t *transaction) error {
		if token.Device != "" {
			// The lock makes a removal wait, which then sees the token and takes it along.
			n, err := t.exec("SELECT 1 FROM twinpanel.devices WHERE id = $1 FOR UPDATE", string(token.Device))
			if err != nil {
				return err
			}
			if n == 0 {
				return registry.ErrNoDevice
			}
		}
		_, err := t.exec("INSERT INTO twinpanel.tokens (name, hash, created, read_only, device, last_used) VALUES ($1, $2, $3, $4, $5, $6)",
			token.Name, token.Hash[:], toMicro(token.Created), token.ReadOnly, string(token.Device), toMicro(token.LastUsed))
		return taken(err)
	})
}

// RemoveToken implements [registry.Registry].
func (db *DB) RemoveToken(ctx context.Context, name string) error {
	return db.transact(ctx, func(t *transaction) error {
		n, err := t.exec("DELETE FROM twinpanel.tokens WHERE name = $1", name)
		if err == nil && n == 0 || code(err) == notText {
			return registry.ErrNoToken
		}
		return err
	})
}

// Tokens implements [registry.Registry].
func (db *DB) Tokens(ctx context.Context) ([]registry.Token, error) {
	return list(ctx, db, "tokens", scanToken, selectToken+" ORDER BY name")
}
