// Package envelope seals what Strongroom stores. It is the only package that
// imports Tink.
//
// The keys form a chain. A key-encryption key (KEK), one for each integration,
// never leaves its vaultkeys.Provider. It wraps two Tink keysets: one that
// wraps data-encryption keys (XAES-256-GCM, c2sp.org/XAES-256-GCM, whose 192
// bits of random nonce need no counter) and one for the blind index
// (HMAC-SHA256 as a PRF, RFC 2104). A data-encryption key (DEK) is 32 random
// bytes, fresh for every revision of a record; it seals that revision's fields
// with AES-256-GCM (NIST SP 800-38D) and lies beside them, wrapped.
//
// Of each keyset there are generations, one key each, and every one has a
// KeyState. The primary one seals; older ones open what they sealed until
// nothing is left under them and they are disabled and destroyed. Rewrap moves a
// wrapped DEK to the primary key and Reseal gives a revision a fresh DEK, so
// that no value has to leave this package to change its key; RewrapKeysets moves
// keysets to a new version of the KEK. A token of the blind index cannot be
// moved without its value, so a domain computes under older generations too.
//
// A Domain is an integration's opened keysets. Domains holds the ones in use,
// under a lease, so that the key service is asked once for many records and
// can be away for a while. The System domain has a KEK and keysets of its own
// and seals every control-plane value.
//
// Nothing authenticates for a place other than its own: each ciphertext is
// bound by associated data to the store, the integration, the collection, the
// record, the revision and the field, or to the kind, id and version of a
// control value. A wrapped DEK is bound to the header of its revision too.
package envelope
