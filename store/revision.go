package store

import (
	"encoding/binary"
)

// revision is a value of the Revisions table: the header and one sealed value
// for each of the header's fields, in its order.
//
// Layout:
//
//	01 | u32 len, header | (u32 len, sealed field)*
type revision struct {
	rawHeader []byte
	header    header
	sealed    [][]byte
}

const revisionFormat = 1

// encodeRevision writes the layout; header is as header.encode wrote it.
func encodeRevision(header []byte, sealed [][]byte) []byte {
	size := 1 + 4 + len(header)
	for _, s := range sealed {
		size += 4 + len(s)
	}
	b := make([]byte, 0, size)
	b = append(b, revisionFormat)
	b = binary.BigEndian.AppendUint32(b, uint32(len(header)))
	b = append(b, header...)
	for _, s := range sealed {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

// decodeRevision reads the layout. What it returns points into b; names is as
// for decodeHeader.
func decodeRevision(b []byte, names map[string]string) (revision, error) {
	r := reader{b: b}
	if r.u8() != revisionFormat {
		return revision{}, errLayout
	}
	rev := revision{rawHeader: r.take(int(r.u32()))}
	if r.bad {
		return revision{}, errLayout
	}
	var err error
	if rev.header, err = decodeHeader(rev.rawHeader, names); err != nil {
		return revision{}, err
	}
	if len(rev.header.fields) > 0 {
		rev.sealed = make([][]byte, len(rev.header.fields))
	}
	for i := range rev.sealed {
		rev.sealed[i] = r.take(int(r.u32()))
	}
	if !r.done() {
		return revision{}, errLayout
	}
	return rev, nil
}
