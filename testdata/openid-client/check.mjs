// Drives a Strongroom server by openid-client: discovery, tokens by secret and
// by key, introspection, revocation. It ends with an error when anything is not
// as the standards say. STRONGROOM_URL, APP_SECRET and KEY_FILE come from the
// test that runs it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { importPKCS8 } from 'jose'
import * as oauth from 'openid-client'

const url = new URL(process.env.STRONGROOM_URL)
const discover = (id, auth) => oauth.discovery(url, id, undefined, auth, { algorithm: 'oauth2' })
const roles = (config, token) => oauth.fetchProtectedResource(config, token, new URL('/v1/roles', url), 'GET')

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
await assert.rejects(oauth.clientCredentialsGrant(await discover('app', oauth.ClientSecretPost('wrong'))))
const other = await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify'])
await assert.rejects(oauth.clientCredentialsGrant(await discover('signer', oauth.PrivateKeyJwt(other.privateKey))))
