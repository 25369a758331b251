package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"strongroom/internal/limits"
	"strongroom/rotate"
	"strongroom/store"
)

// resource is a path with its methods. It dispatches on the method itself: the
// router then has one route a path, and what is allowed is known.
type resource struct {
	s         *Server
	route     string // the path as the OpenAPI document writes it
	endpoints []*endpoint
	other     *endpoint // answers every other method
}

// ServeHTTP implements http.Handler, as the router wants it.
func (r *resource) ServeHTTP(w http.ResponseWriter, q *http.Request) { r.serve(w, q, mux.Vars(q)) }

// serve answers a request whose path has the values vars. HEAD is what GET is,
// without the body.
func (r *resource) serve(w http.ResponseWriter, q *http.Request, vars map[string]string) {
	method := q.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, e := range r.endpoints {
		if e.method == method {
			r.s.serve(e, w, q, vars)
			return
		}
	}
	r.s.serve(r.other, w, q, vars)
}

// allow lists the methods for the Allow header.
func (r *resource) allow() string {
	var methods []string
	for _, e := range r.endpoints {
		methods = append(methods, e.method)
		if e.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	return strings.Join(methods, ", ")
}

// add puts a resource on a router whose own prefix is given.
func (s *Server) add(router *mux.Router, prefix, route string, endpoints ...endpoint) {
	r := &resource{s: s, route: prefix + route}
	for i := range endpoints {
		e := &endpoints[i]
		e.route = r.route
		e.seen = s.Metrics.Endpoint(e.route, e.method)
		e.group = e.groupOf()
		r.endpoints = append(r.endpoints, e)
	}
	allow := []string{r.allow()}
	r.other = &endpoint{route: r.route, rule: public, group: limits.GroupOther, seen: s.Metrics.Endpoint(r.route, "other"),
		run: func(c *call) error {
			c.w.Header()["Allow"] = allow
			return errMethod
		}}
	s.tree = append(s.tree, r)
	router.NewRoute().MatcherFunc(newTemplate(r.route).match).Handler(r)
}

// groupOf tells what kind of route an endpoint is, for the limits.
func (e *endpoint) groupOf() limits.Group {
	_, records, inRecords := strings.Cut(e.route, "/records")
	switch {
	case e.route == "/oauth2/token":
		return limits.GroupToken
	case e.rule&public != 0:
		return limits.GroupOther
	case e.rule&stream != 0:
		return limits.GroupBulk
	case !inRecords:
		return limits.GroupAdmin
	case records == ":search" || records == ":lookup":
		return limits.GroupSearch
	case e.method == http.MethodGet:
		return limits.GroupRead
	}
	return limits.GroupWrite
}

// newRouter makes a router that takes paths as they are: a cleaned path would
// be another field's.
func (s *Server) newRouter() *mux.Router {
	router := mux.NewRouter().SkipClean(true)
	router.NotFoundHandler = &resource{s: s, route: "none", other: &endpoint{
		route: "none", rule: public, group: limits.GroupOther, seen: s.Metrics.Endpoint("none", "other"),
		run: func(*call) error { return errNoRoute },
	}}
	return router
}

// dispatcher hands each request to the resource that the router finds for it. The
// router would do so itself, but copies the request twice on the way, to put
// what it found into its context.
type dispatcher struct{ router *mux.Router }

// ServeHTTP implements http.Handler.
func (d dispatcher) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	var m mux.RouteMatch
	d.router.Match(q, &m)
	m.Handler.(*resource).serve(w, q, m.Vars)
}

const (
	inCollection = "/v1/integrations/{integration}/collections/{collection}"
	inRecord     = inCollection + "/records/{record}"
)

var (
	readParams   = []string{"fields", "revision", "view"}
	fieldParams  = []string{"revision"}
	listParams   = []string{"label.*", "updated_after", "valid_until_before", "fields", "limit", "cursor"}
	exportParams = []string{"label.*", "updated_after", "valid_until_before", "fields"}
	importParams = []string{"mode", "on_error", "key", "on_conflict"}
	deleteParams = []string{"confirm", "now"}
)

// apiRouter routes by heat: reads of a record are tried first, then the other
// routes of records, then the rest behind prefixes.
func (s *Server) apiRouter() http.Handler {
	router := s.newRouter()
	s.recordRoutes(router)
	s.collectionRoutes(router, router.PathPrefix("/v1/integrations").Subrouter())
	s.accessRoutes(router.PathPrefix("/v1").Subrouter())
	s.add(router, "", "/oauth2/token", endpoint{method: "POST", run: s.token, body: mediaForm, rule: public})
	s.add(router, "", "/oauth2/introspect", endpoint{method: "POST", run: s.introspect, body: mediaForm, rule: public})
	s.add(router, "", "/oauth2/revoke", endpoint{method: "POST", run: s.revoke, body: mediaForm, rule: public})
	s.add(router, "", "/.well-known/oauth-authorization-server", endpoint{method: "GET", run: s.serverMetadata, rule: public})
	s.add(router, "", "/.well-known/jwks.json", endpoint{method: "GET", run: s.keySet, rule: public})
	s.add(router, "", "/.well-known/attest-keys.json", endpoint{method: "GET", run: s.attestKeys, rule: public})
	s.add(router, "", "/livez", endpoint{method: "GET", run: s.live, rule: public | vital})
	s.add(router, "", "/readyz", endpoint{method: "GET", run: s.ready, rule: public | vital})
	s.add(router, "", "/openapi.json", endpoint{method: "GET", run: s.openAPI, rule: public})
	return dispatcher{router}
}

func (s *Server) recordRoutes(r *mux.Router) {
	s.add(r, "", inRecord,
		endpoint{method: "GET", run: s.getRecord, params: readParams},
		endpoint{method: "PUT", run: s.putRecord, body: mediaJSON, rule: keyed},
		endpoint{method: "PATCH", run: s.patchRecord, body: mediaMerge, rule: keyed},
		endpoint{method: "DELETE", run: s.deleteRecord, rule: keyed})
	s.add(r, "", inRecord+"/fields/{field}", endpoint{method: "GET", run: s.getField, params: fieldParams})
	s.add(r, "", inCollection+"/records",
		endpoint{method: "POST", run: s.createRecord, body: mediaJSON, rule: keyed},
		endpoint{method: "GET", run: s.listRecords, params: listParams})
	s.add(r, "", inCollection+"/records:search", endpoint{method: "POST", run: s.searchRecords, body: mediaJSON})
	s.add(r, "", inCollection+"/records:lookup", endpoint{method: "POST", run: s.lookupRecord, body: mediaJSON})
	s.add(r, "", inCollection+"/records:upsert", endpoint{method: "POST", run: s.upsertRecord, body: mediaJSON, rule: keyed})
}

// collectionRoutes adds the rest of what lies under /v1/integrations.
func (s *Server) collectionRoutes(root, r *mux.Router) {
	const prefix = "/v1/integrations"
	collection := strings.TrimPrefix(inCollection, prefix)
	record := strings.TrimPrefix(inRecord, prefix)
	s.add(r, prefix, record+":rollback", endpoint{method: "POST", run: s.rollbackRecord, body: mediaJSON, rule: keyed})
	s.add(r, prefix, record+":undelete", endpoint{method: "POST", run: s.undeleteRecord, rule: keyed})
	s.add(r, prefix, record+":expunge", endpoint{method: "POST", run: s.expungeRecord, rule: unkeyed})
	s.add(r, prefix, record+"/revisions", endpoint{method: "GET", run: s.listRevisions})
	s.add(r, prefix, collection+"/records:import", endpoint{method: "POST", run: s.importRecords, params: importParams, body: mediaNDJSON, rule: unkeyed | stream})
	s.add(r, prefix, collection+"/records:export", endpoint{method: "GET", run: s.exportRecords, params: exportParams, rule: stream})
	s.add(r, prefix, collection,
		endpoint{method: "GET", run: s.getCollection},
		endpoint{method: "PUT", run: s.putCollection, body: mediaJSON},
		endpoint{method: "DELETE", run: s.deleteCollection})
	s.add(r, prefix, collection+":validate", endpoint{method: "POST", run: s.validateCollection, body: mediaJSON})
	s.add(r, prefix, "/{integration}/collections", endpoint{method: "GET", run: s.listCollections})
	s.add(r, prefix, "/{integration}",
		endpoint{method: "GET", run: s.getIntegration},
		endpoint{method: "PUT", run: s.putIntegration, body: mediaJSON},
		endpoint{method: "DELETE", run: s.deleteIntegration, params: deleteParams})
	s.add(r, prefix, "/{integration}:undelete", endpoint{method: "POST", run: s.undeleteIntegration})
	s.add(root, "", prefix, endpoint{method: "GET", run: s.listIntegrations})
}

func (s *Server) accessRoutes(r *mux.Router) {
	const prefix = "/v1"
	s.add(r, prefix, "/roles", endpoint{method: "GET", run: s.listRoles})
	s.add(r, prefix, "/roles/{role}",
		endpoint{method: "GET", run: s.getRole},
		endpoint{method: "PUT", run: s.putRole, body: mediaJSON},
		endpoint{method: "DELETE", run: s.deleteRole})
	s.add(r, prefix, "/access:explain", endpoint{method: "POST", run: s.explainAccess, body: mediaJSON})
	s.add(r, prefix, "/clients", endpoint{method: "GET", run: s.listClients})
	s.add(r, prefix, "/clients/{client}",
		endpoint{method: "GET", run: s.getClient},
		endpoint{method: "PUT", run: s.putClient, body: mediaJSON},
		endpoint{method: "DELETE", run: s.deleteClient})
	s.add(r, prefix, "/clients/{client}/secrets",
		endpoint{method: "GET", run: s.listSecrets},
		endpoint{method: "POST", run: s.createSecret, body: mediaJSON, rule: keyed | optional})
	s.add(r, prefix, "/clients/{client}/secrets/{secret}", endpoint{method: "DELETE", run: s.deleteSecret})
	s.add(r, prefix, "/issuers", endpoint{method: "GET", run: s.listIssuers})
	s.add(r, prefix, "/issuers/{issuer}",
		endpoint{method: "GET", run: s.getIssuer},
		endpoint{method: "PUT", run: s.putIssuer, body: mediaJSON},
		endpoint{method: "DELETE", run: s.deleteIssuer})
	s.add(r, prefix, "/limits", endpoint{method: "GET", run: s.listLimits})
	s.add(r, prefix, "/limits/{limit}",
		endpoint{method: "GET", run: s.getLimit},
		endpoint{method: "PUT", run: s.putLimit, body: mediaJSON},
		endpoint{method: "DELETE", run: s.deleteLimit})
	s.governanceRoutes(r, prefix)
	s.keyRoutes(r, prefix)
	s.add(r, prefix, "/backups", endpoint{method: "POST", run: s.backup, body: mediaJSON, rule: unkeyed | optional | stream})
	s.add(r, prefix, "/backups:confirm", endpoint{method: "POST", run: s.confirmBackup, body: mediaJSON, rule: unkeyed})
}

// governanceRoutes adds what a second person decides about.
func (s *Server) governanceRoutes(r *mux.Router, prefix string) {
	post := func(route string, run func(*call) error) {
		s.add(r, prefix, route, endpoint{method: "POST", run: run, rule: unkeyed})
	}
	s.add(r, prefix, "/governance",
		endpoint{method: "GET", run: s.getGovernance},
		endpoint{method: "PUT", run: s.putGovernance, body: mediaJSON})
	s.add(r, prefix, "/changes", endpoint{method: "GET", run: s.listChanges})
	s.add(r, prefix, "/changes/{change}", endpoint{method: "GET", run: onID("change", s.Store.GetChange)})
	post("/changes/{change}:approve", onID("change", s.Store.ApproveChange))
	post("/changes/{change}:reject", onID("change", s.Store.RejectChange))
	post("/changes/{change}:withdraw", onID("change", s.Store.WithdrawChange))
	s.add(r, prefix, "/approvals",
		endpoint{method: "GET", run: s.listApprovals},
		endpoint{method: "POST", run: s.requestApproval, body: mediaJSON, rule: unkeyed})
	s.add(r, prefix, "/approvals/{approval}", endpoint{method: "GET", run: onID("approval", s.Store.GetApproval)})
	post("/approvals/{approval}:approve", onID("approval", s.Store.ApproveRead))
	post("/approvals/{approval}:reject", onID("approval", s.Store.RejectRead))
	post("/approvals/{approval}:revoke", onID("approval", s.Store.RevokeRead))
}

// keyRoutes adds rotations, their schedules, the inventory of keys and erasures.
func (s *Server) keyRoutes(r *mux.Router, prefix string) {
	steer := func(verb string, run func(context.Context, store.Caller, string) (rotate.Rotation, error)) {
		s.add(r, prefix, "/rotations/{rotation}:"+verb, endpoint{method: "POST", run: onID("rotation", run), rule: unkeyed})
	}
	s.add(r, prefix, "/rotations",
		endpoint{method: "GET", run: s.listRotations},
		endpoint{method: "POST", run: s.createRotation, body: mediaJSON, rule: unkeyed})
	s.add(r, prefix, "/rotations/{rotation}", endpoint{method: "GET", run: s.getRotation})
	steer("pause", s.Jobs.Pause)
	steer("resume", s.Jobs.Resume)
	steer("cancel", s.Jobs.Cancel)
	steer("rollback", s.Jobs.Rollback)
	s.add(r, prefix, "/rotations/{rotation}:throttle", endpoint{method: "POST", run: s.throttleRotation, body: mediaJSON, rule: unkeyed})
	s.add(r, prefix, "/rotations/{rotation}/report", endpoint{method: "GET", run: s.rotationReport})
	s.add(r, prefix, "/schedules", endpoint{method: "GET", run: s.listSchedules})
	s.add(r, prefix, "/schedules/{schedule}",
		endpoint{method: "GET", run: s.getSchedule},
		endpoint{method: "PUT", run: s.putSchedule, body: mediaJSON},
		endpoint{method: "DELETE", run: s.deleteSchedule})
	s.add(r, prefix, "/keys", endpoint{method: "GET", run: s.listKeys})
	s.add(r, prefix, "/keys/{key}/records", endpoint{method: "GET", run: s.keyRecords, rule: stream})
	s.add(r, prefix, "/erasures",
		endpoint{method: "GET", run: s.listErasures},
		endpoint{method: "POST", run: s.createErasure, body: mediaJSON, rule: unkeyed})
	s.add(r, prefix, "/erasures/{erasure}", endpoint{method: "GET", run: s.getErasure})
	s.add(r, prefix, "/erasures/{erasure}:resume", endpoint{method: "POST", run: onID("erasure", s.Erasures.Resume), rule: unkeyed})
	s.add(r, prefix, "/erasures/{erasure}/certificate", endpoint{method: "GET", run: s.erasureCertificate})
}

// opsRouter routes the operations listener.
func (s *Server) opsRouter() http.Handler {
	router := s.newRouter()
	scrape := s.Metrics.Handler()
	s.add(router, "", "/metrics", endpoint{method: "GET", rule: public | vital, run: func(c *call) error {
		return c.delegate(scrape)
	}})
	s.add(router, "", "/readyz", endpoint{method: "GET", run: s.readyWithReasons, rule: public | vital})
	s.add(router, "", "/livez", endpoint{method: "GET", run: s.live, rule: public | vital})
	return dispatcher{router}
}
