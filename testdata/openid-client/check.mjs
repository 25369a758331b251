// Drives a Strongroom server by openid-client: discovery, tokens by secret and
// by key, introspection, revocation, and tokens that are bound to a key (DPoP,
// nonce and all), by which a record is read. It ends with an error when anything is not
// as the standards say. STRONGROOM_URL, APP_SECRET and KEY_FILE come from the
// test that runs it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { importPKCS8 } from 'jose'
import * as oauth from 'openid-client'

const url = new URL(process.env.STRONGROOM_URL)
const discover = (id, auth) => oauth.discovery(url, id, undefined, auth, { algorithm: 'oauth2' })
const roles = (config, token) => oauth.fetchProtectedResource(config, token, new URL('/v1/roles', url), 'GET')

// A handle keeps the key and the nonce that the server gave last; it sends again
// what was refused for its nonce.
async function bound(config, id) {
  const DPoP = oauth.getDPoPHandle(config, await oauth.randomDPoPKeyPair(process.env.DPOP_ALG ?? 'ES256'))
  const token = await oauth.clientCredentialsGrant(config, undefined, { DPoP })
  assert.equal(token.token_type, 'dpop')
  const record = new URL('/v1/integrations/crm/collections/keys/records/k1', url)
  for (let n = 0; n < 2; n++) {
    const read = await oauth.fetchProtectedResource(config, token.access_token, record, 'GET', undefined, undefined, { DPoP })
    assert.equal((await read.json()).fields.key, 'from the store')
  }
  const thief = oauth.getDPoPHandle(config, await oauth.randomDPoPKeyPair('ES256'))
  for (const stolen of [undefined, { DPoP: thief }])
    await assert.rejects(oauth.fetchProtectedResource(config, token.access_token, record, 'GET', undefined, undefined, stolen))
  const told = await oauth.tokenIntrospection(config, token.access_token)
  assert.equal(told.token_type, 'DPoP')
  assert.equal(typeof told.cnf.jkt, 'string')
  await oauth.tokenRevocation(config, token.access_token)
  await assert.rejects(oauth.fetchProtectedResource(config, token.access_token, record, 'GET', undefined, undefined, { DPoP }))
  console.log('a token of', id, 'lived bound to its key, and ended')
}

async function life(config, id) {
  const token = await oauth.clientCredentialsGrant(config, { scope: 'auditor' })
  assert.equal(token.token_type, 'bearer')
  assert.equal(token.scope, 'auditor')
  assert.equal((await roles(config, token.access_token)).status, 200)
  const told = await oauth.tokenIntrospection(config, token.access_token)
  assert.equal(told.active, true)
  assert.equal(told.client_id, id)
  await oauth.tokenRevocation(config, token.access_token)
  await assert.rejects(roles(config, token.access_token))
  assert.equal((await oauth.tokenIntrospection(config, token.access_token)).active, false)
  console.log('a token of', id, 'lived and ended')
}

const secret = process.env.APP_SECRET
await life(await discover('app', oauth.ClientSecretBasic(secret)), 'app')
await life(await discover('app', oauth.ClientSecretPost(secret)), 'app')
for (const algorithm of ['Ed25519', 'EdDSA']) {
  const key = await importPKCS8(readFileSync(process.env.KEY_FILE, 'utf8'), algorithm)
  await life(await discover('signer', oauth.PrivateKeyJwt(key)), 'signer')
}
for (const algorithm of ['ES256', 'Ed25519', 'PS256', 'RS256']) {
  process.env.DPOP_ALG = algorithm
  await bound(await discover('reader', oauth.ClientSecretBasic(process.env.READER_SECRET)), 'reader')
}
await assert.rejects(oauth.clientCredentialsGrant(await discover('reader', oauth.ClientSecretBasic(process.env.READER_SECRET))))
await assert.rejects(oauth.clientCredentialsGrant(await discover('app', oauth.ClientSecretPost('wrong'))))
const other = await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify'])
await assert.rejects(oauth.clientCredentialsGrant(await discover('signer', oauth.PrivateKeyJwt(other.privateKey))))
