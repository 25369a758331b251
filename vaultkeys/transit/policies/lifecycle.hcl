# The identity that makes, rotates, trims and ends keys. It can neither wrap nor
# unwrap, so that it reads nothing. The star covers what lies under a key as
# well: rotate, config and trim. A rule like "transit/keys/+/rotate" would reach
# the keys of others on the same mount.
path "transit/keys/strongroom-*" {
  capabilities = ["create", "read", "update", "delete"]
}
