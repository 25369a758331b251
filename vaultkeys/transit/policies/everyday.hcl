# The identity that a running Strongroom uses all day: it wraps and unwraps
# keysets under keys that exist, and can neither make, change nor end one.
# 'update' without 'create' matters: encrypting under a key that does not exist
# would otherwise create it.
path "transit/encrypt/strongroom-*" {
  capabilities = ["update"]
}
path "transit/decrypt/strongroom-*" {
  capabilities = ["update"]
}
path "transit/keys/strongroom-*" {
  capabilities = ["read"]
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
