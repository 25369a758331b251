# The identity that makes, rotates and ends keys. It can neither wrap nor
# unwrap, so that it reads nothing.
path "transit/keys/strongroom-*" {
  capabilities = ["create", "read", "update", "delete"]
}
path "transit/keys/+/rotate" {
  capabilities = ["update"]
}
path "transit/keys/+/config" {
  capabilities = ["update"]
}
path "transit/keys/+/trim" {
  capabilities = ["update"]
}
