package client

import (
	"context"
	"net/http"
)

func integrationPath(name string) string { return "/v1" + escape("integrations", name) }

func collectionPath(ref CollectionRef) string {
	return integrationPath(ref.Integration) + escape("collections", ref.Collection)
}

// PutIntegration creates an integration, or changes the one there is.
func (c *Client) PutIntegration(ctx context.Context, name string, spec IntegrationSpec, o WriteOptions) (*Integration, error) {
	return define[Integration](ctx, c, integrationPath(name), spec, o)
}

// GetIntegration returns an integration.
func (c *Client) GetIntegration(ctx context.Context, name string) (*Integration, error) {
	return fetch[Integration](ctx, c, get(integrationPath(name)))
}

// ListIntegrations returns the integrations that this client may know of.
func (c *Client) ListIntegrations(ctx context.Context) ([]Integration, error) {
	return fetchItems[Integration](ctx, c, "/v1/integrations")
}

// DeleteIntegration disables an integration at once and destroys its keys after
// seven days; with now at once, which nothing takes back.
func (c *Client) DeleteIntegration(ctx context.Context, name string, now bool) (*Integration, error) {
	q := del(integrationPath(name))
	q.param("confirm", name)
	if now {
		q.param("now", "true")
	}
	a, err := c.do(ctx, q)
	if err != nil || len(a.body) == 0 {
		return nil, err
	}
	var out Integration
	return &out, a.into(&out)
}

// UndeleteIntegration takes a delete back while the keys still are.
func (c *Client) UndeleteIntegration(ctx context.Context, name string) (*Integration, error) {
	return fetch[Integration](ctx, c, &call{method: http.MethodPost, path: integrationPath(name) + ":undelete", safe: true})
}

// PutCollection creates a collection, or changes its definition.
func (c *Client) PutCollection(ctx context.Context, ref CollectionRef, spec CollectionSpec, o WriteOptions) (*Collection, error) {
	return define[Collection](ctx, c, collectionPath(ref), spec, o)
}

// ValidateCollection tells what PutCollection would, and changes nothing.
func (c *Client) ValidateCollection(ctx context.Context, ref CollectionRef, spec CollectionSpec) (warnings []string, err error) {
	q, err := post(collectionPath(ref)+":validate", spec)
	if err != nil {
		return nil, err
	}
	q.safe = true
	out, err := fetch[struct {
		Warnings []string `json:"warnings"`
	}](ctx, c, q)
	if err != nil {
		return nil, err
	}
	return out.Warnings, nil
}

// GetCollection returns a collection.
func (c *Client) GetCollection(ctx context.Context, ref CollectionRef) (*Collection, error) {
	return fetch[Collection](ctx, c, get(collectionPath(ref)))
}

// ListCollections returns an integration's collections.
func (c *Client) ListCollections(ctx context.Context, integration string) ([]Collection, error) {
	return fetchItems[Collection](ctx, c, integrationPath(integration)+"/collections")
}

// DeleteCollection deletes a collection.
func (c *Client) DeleteCollection(ctx context.Context, ref CollectionRef) error {
	_, err := c.do(ctx, del(collectionPath(ref)))
	return err
}

// define puts a definition and returns what it became.
func define[T any](ctx context.Context, c *Client, path string, spec any, o WriteOptions) (*T, error) {
	q, err := put(path, spec)
	if err != nil {
		return nil, err
	}
	q.conditions(o)
	return fetch[T](ctx, c, q)
}

func fetch[T any](ctx context.Context, c *Client, q *call) (*T, error) {
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	out := new(T)
	return out, a.into(out)
}

// fetchItems reads a list to its end, page by page.
func fetchItems[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var all []T
	for cursor := ""; ; {
		q := get(path)
		if cursor != "" {
			q.param("cursor", cursor)
		}
		page, err := fetch[struct {
			Items      []T     `json:"items"`
			NextCursor *string `json:"next_cursor"`
		}](ctx, c, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.NextCursor == nil || *page.NextCursor == "" {
			return all, nil
		}
		cursor = *page.NextCursor
	}
}
