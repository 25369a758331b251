package api

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"
)

func TestTemplate(t *testing.T) {
	const record = inRecord
	for _, c := range []struct {
		template, path string
		want           map[string]string
	}{
		{"/livez", "/livez", map[string]string{}},
		{"/livez", "/livez/", nil},
		{"/livez", "/live", nil},
		{record, "/v1/integrations/acme/collections/cards/records/r-1", map[string]string{"integration": "acme", "collection": "cards", "record": "r-1"}},
		{record, "/v1/integrations/acme/collections/cards/records/", nil},
		{record, "/v1/integrations//collections/cards/records/r-1", nil},
		{record, "/v1/integrations/acme/collections/cards/records/r-1/", nil},
		{record, "/v1/integrations/acme/collections/cards/records/r-1:undelete", nil},
		{record + ":undelete", "/v1/integrations/acme/collections/cards/records/r-1:undelete", map[string]string{"integration": "acme", "collection": "cards", "record": "r-1"}},
		{record + ":undelete", "/v1/integrations/acme/collections/cards/records/r-1:undelete:undelete", nil},
		{record + "/fields/{field}", "/v1/integrations/acme/collections/cards/records/r-1/fields/a/b:c",
			map[string]string{"integration": "acme", "collection": "cards", "record": "r-1", "field": "a/b:c"}},
		{record + "/fields/{field}", "/v1/integrations/acme/collections/cards/records/r-1/fields/", nil},
	} {
		var m mux.RouteMatch
		newTemplate(c.template).match(&http.Request{URL: &url.URL{Path: c.path}}, &m)
		if diff := cmp.Diff(c.want, m.Vars); diff != "" {
			t.Errorf("%s against %s (-want +got):\n%s", c.path, c.template, diff)
		}
	}
}

// FuzzTemplate holds a template to its meaning: what matches is the template
// with the values put in the place of the names.
func FuzzTemplate(f *testing.F) {
	f.Add("acme", "cards", "r-1", "a/b")
	f.Add("a:b", "", "/", "\n")
	f.Fuzz(func(t *testing.T, integration, collection, record, field string) {
		path := "/v1/integrations/" + integration + "/collections/" + collection + "/records/" + record + "/fields/" + field
		var v [mostNames]string
		if !newTemplate(inRecord+"/fields/{field}").values(path, &v) {
			return
		}
		if back := "/v1/integrations/" + v[0] + "/collections/" + v[1] + "/records/" + v[2] + "/fields/" + v[3]; back != path {
			t.Errorf("%q was taken for %q", path, back)
		}
		if newTemplate(inRecord).values(path, &v) {
			t.Errorf("%q is a record's path too", path)
		}
	})
}
