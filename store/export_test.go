package store

import (
	"io"

	"filippo.io/age"

	"strongroom/internal/access"
	"strongroom/internal/uid"
)

// EndedForTest is the memory of ended tokens.
type EndedForTest struct{ e endedTokens }

// Add remembers a token within the bounds.
func (t *EndedForTest) Add(id string, owner uid.UID) error {
	return t.e.add(id, endedDoc{Owner: owner, Once: true}, true)
}

// DecideForTest judges a read of a record with these fields as GetRecord does,
// and returns how many of them the caller may see.
func (s *Store) DecideForTest(c Caller, ref CollectionRef, record string, fields []string) (seen int, err error) {
	sc, err := s.authorise(c, access.ActionRead, ref)
	if err != nil {
		return 0, err
	}
	if sc, err = sc.reading(record, nil, true); err != nil {
		return 0, err
	}
	for _, path := range fields {
		if sc.restrain(path, sc.read(access.ActionRead, path)).Kind != access.None {
			seen++
		}
	}
	return seen, nil
}

// VerifyBackup reads a backup to its end and proves that it is whole: every
// frame, the counts and the SHA-256. It needs no keys, and so does not notice
// a backup that somebody made anew; restoring does. One that is sealed for a
// recipient needs its identity. What does not fit is ErrBackupDamaged.
func VerifyBackup(r io.Reader, identities ...age.Identity) (BackupInfo, error) {
	b, err := openBackup(r, identities)
	for err == nil {
		_, err = b.next()
	}
	if err != io.EOF {
		return BackupInfo{}, err
	}
	return b.info(), nil
}

// ControlKinds returns the kinds of control values that fsck knows.
func ControlKinds() (kinds []string) {
	for _, k := range planeKinds {
		kinds = append(kinds, k.kind)
	}
	return kinds
}
