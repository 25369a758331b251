package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/storetest"
)

// noticed is all that a caller gets to see of an operation: what it is told, what
// it is shown, and how much work it had to wait for, by the keys opened. Ids
// that the server made and entity tags are left out: they are random.
type noticed struct {
	Told  string
	Shown []string
	Opens int
}

// observer is a caller in a world.
type observer struct {
	w *world
	c store.Caller
}

func (o observer) watch(work bool, fn func() ([]string, error)) (s noticed) {
	n := o.w.opens(func() {
		shown, err := fn()
		s.Told, s.Shown = refusalText(err), shown
	})
	if work {
		s.Opens = n
	}
	return s
}

// show writes a record down without what is random.
func show(r *store.Record) string {
	text, _ := json.Marshal([]any{r.Revision, r.Labels, string(schema.Join(r.Fields)), r.Masked, r.Withheld, r.Damaged})
	return string(text)
}

// act is an operation with a name.
type act struct {
	name string
	do   func(o observer) noticed
}

var errOnly = func(err error) ([]string, error) { return nil, err }

// actsOn are the operations on a record that is named.
func actsOn(id, body string, owner string, n uint64) []act {
	ctx, ref := context.Background(), store.RecordRef{CollectionRef: customers, Record: id}
	one := func(name string, do func(o observer) ([]string, error)) act {
		return act{name + " " + id, func(o observer) noticed { return o.watch(true, func() ([]string, error) { return do(o) }) }}
	}
	in := owned(body, owner)
	pre := store.WriteOptions{}
	if n%3 == 0 {
		pre.IfMatch = []uint64{n}
	}
	read := func(options store.ReadOptions) func(o observer) ([]string, error) {
		return func(o observer) ([]string, error) {
			r, err := o.w.GetRecord(ctx, o.c, ref, options)
			return []string{show(&r)}, err
		}
	}
	return []act{
		one("read", read(store.ReadOptions{})),
		one("read an old revision of", read(store.ReadOptions{Revision: n})),
		one("read the revision before of", read(store.ReadOptions{Previous: true})),
		one("read the metadata of", read(store.ReadOptions{Metadata: true})),
		one("read a field of", func(o observer) ([]string, error) {
			v, err := o.w.GetField(ctx, o.c, ref, "email", store.ReadOptions{})
			return []string{string(v.JSON)}, err
		}),
		one("patch", func(o observer) ([]string, error) {
			_, err := o.w.PatchRecord(ctx, o.c, ref, in, pre)
			return errOnly(err)
		}),
		one("put", func(o observer) ([]string, error) {
			_, err := o.w.PutRecord(ctx, o.c, ref, in, pre)
			return errOnly(err)
		}),
		one("delete", func(o observer) ([]string, error) {
			_, err := o.w.DeleteRecord(ctx, o.c, ref, pre)
			return errOnly(err)
		}),
		one("undelete", func(o observer) ([]string, error) {
			_, err := o.w.UndeleteRecord(ctx, o.c, ref, pre)
			return errOnly(err)
		}),
		one("roll back", func(o observer) ([]string, error) {
			_, err := o.w.RollbackRecord(ctx, o.c, ref, n, pre)
			return errOnly(err)
		}),
		one("expunge", func(o observer) ([]string, error) { return errOnly(o.w.ExpungeRecord(ctx, o.c, ref)) }),
		one("list the revisions of", func(o observer) ([]string, error) {
			list, err := o.w.ListRevisions(ctx, o.c, ref)
			text, _ := json.Marshal(list)
			return []string{string(text)}, err
		}),
	}
}

// actsOnAll are the operations that name no record.
func actsOnAll(body, owner, value string, limit int) []act {
	ctx := context.Background()
	many := func(name string) act {
		return act{name, func(o observer) noticed {
			return o.watch(false, func() ([]string, error) { return o.pages(name, value, limit) })
		}}
	}
	return []act{
		many("list"), many("search"),
		{"look up " + value, func(o observer) noticed {
			return o.watch(true, func() ([]string, error) {
				r, err := o.w.LookupRecord(ctx, o.c, customers, where("external_id", `"`+value+`"`), store.ReadOptions{})
				return []string{show(&r)}, err
			})
		}},
		{"create", func(o observer) noticed {
			return o.watch(true, func() ([]string, error) {
				_, err := o.w.CreateRecord(ctx, o.c, customers, owned(body, owner), store.WriteOptions{})
				return errOnly(err)
			})
		}},
		{"export", func(o observer) noticed {
			return o.watch(false, func() (shown []string, err error) {
				_, err = o.w.ExportRecords(ctx, o.c, customers, store.ListOptions{}, func(r *store.Record) error { shown = append(shown, show(r)); return nil })
				slices.Sort(shown)
				return shown, err
			})
		}},
	}
}

// pages goes through all pages: their lengths, and what they show.
func (o observer) pages(kind, value string, limit int) (shown []string, err error) {
	ctx, lengths := context.Background(), ""
	for cursor := ""; ; {
		var page store.Page
		if kind == "list" {
			page, err = o.w.ListRecords(ctx, o.c, customers, store.ListOptions{AllFields: true, Limit: limit, Cursor: cursor})
		} else {
			page, err = o.w.SearchRecords(ctx, o.c, customers, store.SearchOptions{Where: where("email", `"`+value+`@b.c"`), Limit: limit, Cursor: cursor})
		}
		if err != nil {
			return nil, err
		}
		for i := range page.Records {
			shown = append(shown, show(&page.Records[i]))
		}
		lengths += fmt.Sprintf("%d ", len(page.Records))
		if cursor = page.Next; cursor == "" {
			slices.Sort(shown)
			return append(shown, lengths), nil
		}
	}
}

// peopled makes a world in which the caller owns records, and in which another
// owns some too or there are none but the caller's.
func peopled(t *testing.T, others bool) observer {
	w := newWorld(t, storetest.Options{})
	w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema), UndeleteFor: "1h"})
	place := func(id, owner, value string) {
		in := owned(`{"email":"`+value+`@b.c","external_id":"`+id+`","amount":1}`, owner)
		in.ID = id
		_, err := w.CreateRecord(context.Background(), w.root, customers, in, store.WriteOptions{})
		w.must(err)
		w.must(w.patch(w.root, store.RecordRef{CollectionRef: customers, Record: id}, `{"amount":2}`))
	}
	for i := range 6 {
		place(fmt.Sprintf("own-%d", i), "me", []string{"same", "other"}[i%2])
		if others {
			place(fmt.Sprintf("hid-%d", i), "them", []string{"same", "other", "third"}[i%3])
		}
	}
	return observer{w, w.tenant("tenant", "me")}
}

// Whatever a client does that conditions keep records from: what it is told and
// shown is the same whether the records of others are there or not.
func TestRecordsOfOthersMakeNoDifference(t *testing.T) {
	with, without := peopled(t, true), peopled(t, false)
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom([]string{"own-0", "own-1", "own-2", "own-3", "own-4", "own-5", "hid-0", "hid-1", "hid-2", "hid-5", "none"}).Draw(t, "id")
		owner := rapid.SampledFrom([]string{"me", "me", "them"}).Draw(t, "owner")
		body := rapid.SampledFrom([]string{`{"email":"same@b.c"}`, `{"email":"x@b.c","amount":3}`, `{"email":7}`, `{"amount":4,"email":"other@b.c"}`}).Draw(t, "body")
		value := rapid.SampledFrom([]string{"same", "other", "third", "own-0", "hid-0", "hid-1", "none"}).Draw(t, "value")
		all := append(actsOn(id, body, owner, rapid.Uint64Range(1, 6).Draw(t, "n")), actsOnAll(body, owner, value, rapid.IntRange(1, 7).Draw(t, "limit"))...)
		for _, a := range rapid.Permutation(all).Draw(t, "acts")[:6] {
			if diff := cmp.Diff(a.do(without), a.do(with)); diff != "" {
				t.Fatalf("to %s is another thing once there are records of others:\n%s", a.name, diff)
			}
		}
	})
}
