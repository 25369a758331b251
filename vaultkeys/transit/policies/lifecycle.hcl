# The identity that makes, rotates, trims and ends keys. It can neither wrap nor
# unwrap, so that it reads nothing. The star covers what lies under a key as
# well: rotate, config and trim. A rule like "transit/keys/+/rotate" would reach
# the keys of others on the same mount.
path "transit/keys/strongroom-*" {
  capabilities = ["create", "read", "update", "delete"]
}

# Its own token: how long it lives, to live on, and to end.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
