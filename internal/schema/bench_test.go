package schema

import "testing"

// eight is a record as imports have them: eight fields of strings.
const eight = `{"type":"object","properties":{
 "external_id":{"type":"string","maxLength":64,"x-index":"unique"},
 "first_name":{"type":"string","maxLength":128},"last_name":{"type":"string","maxLength":128},
 "email":{"type":"string","minLength":3,"maxLength":254,"x-index":"exact","x-normalise":"lowercase","x-mask":"email"},
 "phone":{"type":"string","maxLength":32,"x-mask":"last4"},
 "street":{"type":"string","maxLength":256},"city":{"type":"string","maxLength":128},
 "iban":{"type":"string","maxLength":34,"x-sensitivity":"high"}},
 "required":["external_id","email"],"additionalProperties":false}`

const eightDoc = `{"external_id":"cus_NffrFeUfNV2Hib","first_name":"Jenny","last_name":"Rosen","email":"jenny.rosen@example.com",` +
	`"phone":"+49 30 901820","street":"Unter den Linden 77","city":"Berlin","iban":"DE89370400440532013000"}`

func BenchmarkCheck(b *testing.B) {
	s, doc := compile(b, eight), []byte(eightDoc)
	b.ReportAllocs()
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if _, err := s.Check(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckThorough(b *testing.B) {
	s, doc := compile(b, eight), []byte(eightDoc)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.thorough(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckWebhookEvent(b *testing.B) {
	s := preset(b, "webhook_event")
	doc := []byte(`{"external_id":"evt_1","event_type":"invoice.paid","headers":{"Stripe-Signature":"t=1,v1=2","Content-Type":"application/json"},` +
		`"raw_body":"eyJpZCI6ImV2dF8xIiwib2JqZWN0IjoiZXZlbnQifQ==","payload":{"id":"evt_1","object":"event"},"received_at":"2026-11-24T10:00:00.123Z"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Check(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJoin(b *testing.B) {
	values, err := compile(b, eight).Split([]byte(eightDoc))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		Join(values)
	}
}

func BenchmarkNormalise(b *testing.B) {
	value := []byte(`"Jenny.Rosen@example.com"`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Normalise("lowercase", value); err != nil {
			b.Fatal(err)
		}
	}
}
