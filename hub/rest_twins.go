package hub

import (
	"context"
	"encoding/json"

	"github.com/twinpanel/twinpanel/twin"
)

// A restTwinDocument is a document as REST shows it: with its names.
type restTwinDocument struct {
	Twin     twin.ID         `json:"twin_id"`
	Document twin.Name       `json:"document_name"`
	Version  uint32          `json:"version"`
	Data     json.RawMessage `json:"data"`
}

type restName struct {
	Document twin.Name `json:"document_name"`
}

type restNames struct {
	Documents []restName `json:"documents"`
}

func (h *Hub) restListDocuments(ctx context.Context, r restRequest) (any, error) {
	names, err := h.list(ctx, nil, r.id)
	if err != nil {
		return nil, err
	}
	answer := restNames{Documents: make([]restName, len(names))}
	for i, name := range names {
		answer.Documents[i].Document = name
	}
	return answer, nil
}

func (h *Hub) restDocument(m twin.Method) func(context.Context, restRequest) (any, error) {
	return func(ctx context.Context, r restRequest) (any, error) {
		doc, err := h.Do(ctx, r.id, r.document, m, r.body)
		if err != nil {
			return nil, err
		}
		return restTwinDocument{r.id, r.document, doc.Version, doc.Data}, nil
	}
}

func (h *Hub) restDeleteDocument(ctx context.Context, r restRequest) (any, error) {
	return nil, h.delete(ctx, r.id, r.document)
}

func (h *Hub) restDeleteDocuments(ctx context.Context, r restRequest) (any, error) {
	return nil, h.deleteAll(ctx, r.id)
}
