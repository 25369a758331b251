package store

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
)

// surroundings names the things beside its target that decide what a change
// gives to whom (the holders of a role, the roles of a client), with their
// versions, and digests them with the target's own identity. A change that was
// asked for when a role had no holders must not be approved for those that it
// was given to meanwhile, nor one of a client for its namesake, or for somebody
// who has since got a secret of it.
func (c *catalog) surroundings(d *changeDoc) (affects []string, stamp []byte) {
	var facts []string
	switch d.Kind {
	case changePutRole, changeDeleteRole:
		for _, cl := range c.clients {
			if slices.Contains(cl.doc.Roles, d.Name) {
				affects, facts = append(affects, clientVersion(cl)), append(facts, cl.hands()+c.vouchedBy(cl))
			}
		}
		facts = append(facts, c.roleIdentity(d.Name))
	case changePutClient:
		var spec ClientSpec
		_ = json.Unmarshal(d.Document, &spec)
		affects = c.roleVersions(spec.Roles)
		facts = append(facts, c.clients[d.Name].hands()+c.vouchedBy(c.clients[d.Name]))
	case changeCreateSecret:
		if cl := c.clients[d.Name]; cl != nil {
			affects = append(c.roleVersions(cl.doc.Roles), clientVersion(cl))
			facts = append(facts, cl.doc.UID.String())
		}
	case changePutIssuer:
		var spec IssuerSpec
		_ = json.Unmarshal(d.Document, &spec)
		for _, r := range spec.Rules {
			if cl := c.clients[r.Client]; cl != nil {
				affects = append(append(affects, clientVersion(cl)), c.roleVersions(cl.doc.Roles)...)
				facts = append(facts, cl.hands())
			}
		}
		if i := c.issuers[d.Name]; i != nil {
			facts = append(facts, i.doc.UID.String())
		}
	case changePutCollection:
		if coll := c.collectionOf(CollectionRef{d.Integration, d.Name}); coll != nil {
			facts = append(facts, coll.doc.UID.String())
		}
	case changePutLimit, changeDeleteLimit:
		if l := c.limits[d.Name]; l != nil {
			facts = append(facts, l.doc.CreatedAt.String()+string(l.doc.Raw))
		}
	}
	slices.Sort(affects)
	slices.Sort(facts)
	text, _ := json.Marshal([][]string{affects, facts})
	sum := sha256.Sum256(text)
	return affects, sum[:]
}

// vouchedBy names the rules of issuers by which others may act as a client.
func (c *catalog) vouchedBy(cl *client) (text string) {
	for _, credential := range sortedNames(c.vouchers) {
		if cl != nil && c.vouchers[credential] == cl.doc.UID {
			text += " " + credential
		}
	}
	return text
}

func clientVersion(cl *client) string { return fmt.Sprintf("client/%s@%d", cl.name, cl.version) }

func (c *catalog) roleVersions(names []string) (list []string) {
	for _, name := range names {
		version := uint64(0)
		if r := c.roles[name]; r != nil {
			version = r.version
		}
		list = append(list, fmt.Sprintf("role/%s@%d", name, version))
	}
	return list
}

// roleIdentity tells a role from a later one of its name and version.
func (c *catalog) roleIdentity(name string) string {
	if r := c.roles[name]; r != nil {
		return r.doc.CreatedAt.String() + string(r.doc.Raw)
	}
	return ""
}

// hands says who a client is and whose hands it is in: its uid and version, and
// the secrets that others have seen.
func (cl *client) hands() string {
	if cl == nil {
		return ""
	}
	text := cl.doc.UID.String() + fmt.Sprint(cl.version)
	for _, id := range sortedNames(cl.secrets) {
		if len(cl.secrets[id].doc.Makers) > 0 {
			text += " " + id
		}
	}
	return text
}
