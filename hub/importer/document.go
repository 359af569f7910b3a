package importer

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/hub/twinconfig"
	"github.com/twinpanel/twinpanel/twin"
)

// documents brings the twin of a device, which is here already, or would be.
func (p *pass) documents(ctx context.Context, d registry.Device) error {
	texts, err := p.source.client.documentNames(ctx, d.ID)
	if err != nil {
		return err
	}
	owner := label(d.Name, d.ID)
	var names []twin.Name
	for _, text := range texts {
		name, err := twin.ParseName(text)
		if err != nil {
			p.countDocuments(&p.report.Documents.LeftBehind, 1)
			p.find(LeftBehind, "document %q of %s: %v", excerpt(text), owner, err)
			continue
		}
		names = append(names, name)
	}
	here, err := p.target.Documents.List(ctx, d.ID)
	if err != nil {
		return err
	}
	room := twin.MaxDocuments - len(here)
	var over []twin.Name
	for _, name := range names {
		if !slices.Contains(here, name) {
			if room == 0 {
				over = append(over, name)
				continue
			}
			room--
		}
		if err := p.document(ctx, owner, docstore.Key{Twin: d.ID, Name: name}); err != nil {
			return err
		}
	}
	if len(over) > 0 {
		p.countDocuments(&p.report.Documents.LeftBehind, len(over))
		p.find(LeftBehind, "%d documents of %s, from %q on: a twin has no more than %d here", len(over), owner, over[0], twin.MaxDocuments)
	}
	p.documentsOnlyHere(owner, here, texts)
	return nil
}

// document brings one document.
func (p *pass) document(ctx context.Context, owner string, key docstore.Key) error {
	counts := &p.report.Documents
	doc, err := p.source.client.document(ctx, key.Twin, key.Name)
	if isNotFound(err) {
		return nil // deleted since the names were read
	}
	if err == nil && key.Name == twin.ConfigName {
		if _, bad := twinconfig.Parse(doc.Data); bad != nil {
			err = &unfitError{bad}
		}
	}
	as := &counts.LeftBehind
	if err == nil {
		as, err = p.bringDocument(ctx, owner, key, doc)
	}
	if isUnfit(err) {
		p.find(LeftBehind, "document %s of %s: %v", key.Name, owner, err)
	} else if err != nil {
		return err
	}
	p.countDocuments(as, 1)
	return nil
}

// bringDocument writes a document whose version here is lower, and returns what it counts as.
func (p *pass) bringDocument(ctx context.Context, owner string, key docstore.Key, doc twin.Document) (as *int, err error) {
	counts := &p.report.Documents
	have, err := p.target.Documents.Get(ctx, key)
	if err != nil && !errors.Is(err, twin.ErrDocumentNotFound) {
		return nil, err
	}
	as = &counts.Updated
	switch {
	case have.Version == doc.Version && sameData(have.Data, doc.Data):
		return &counts.Unchanged, nil
	case have.Version == doc.Version:
		p.find(Conflict, "document %s of %s: both sides have version %d, but with other data", key.Name, owner, doc.Version)
		return &counts.Conflicts, nil
	case have.Version > doc.Version:
		p.find(Kept, "document %s of %s: version %d here, %d at the source", key.Name, owner, have.Version, doc.Version)
		return &counts.Kept, nil
	case have.Version == 0:
		as = &counts.Added
	}
	if !p.mode.write {
		p.changed("document %s of %s: version %d at the source, %d here", key.Name, owner, doc.Version, have.Version)
		return as, nil
	}
	return as, p.target.Documents.Set(ctx, key, docstore.Document{Version: doc.Version, Data: doc.Data})
}

// sameData tells whether two documents say the same; a source may write the keys of an object in another order each time.
func sameData(a, b []byte) bool {
	diff, err := twin.Diff(a, b)
	return err == nil && string(diff) == "{}"
}

// documentsOnlyHere finds the documents here that the source's twin doesn't have.
func (p *pass) documentsOnlyHere(owner string, here []twin.Name, texts []string) {
	var list []string
	for _, name := range here {
		if _, found := slices.BinarySearch(texts, string(name)); !found {
			list = append(list, string(name))
		}
	}
	if len(list) > 0 {
		p.find(Kept, "documents of %s: they are here, and not at the source: %s", owner, strings.Join(list, ", "))
	}
}
