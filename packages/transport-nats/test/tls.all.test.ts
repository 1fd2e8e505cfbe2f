// A server that speaks TLS only to those whom it knows, and takes a user by the key that he has: the client library's own options, passed on.
import { createClient, createTasks, startWorker } from '@tasks/core'
import { nkeyAuthenticator, nkeys } from '@nats-io/transport-node'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, type TestContext } from 'vitest'
import { fromUrl, natsTransport } from '../src/index'
import { newServer } from './support/server'

interface Certificate {
  readonly certFile: string
  readonly keyFile: string
}

/** Signed by itself, so that it is its own authority. */
function makeCertificate(ctx: TestContext): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'tasks-tls-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile]
  try {
    execFileSync('openssl', ['req', '-x509', '-days', '2', ...key, '-out', certFile, ...subject], { stdio: 'pipe' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') ctx.skip('no openssl on this machine')
    throw error
  }
  return { certFile, keyFile }
}

test('pipelines run over TLS, with certificates on both sides and an nkey', async (ctx) => {
  const { certFile, keyFile } = makeCertificate(ctx)
  const user = nkeys.createUser()
  const server = await newServer(ctx, {
    settings: `tls { cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${certFile}", verify: true }
      authorization { users = [{ nkey: "${user.getPublicKey()}" }] }`,
  })
  const tls = { caFile: certFile, certFile, keyFile }
  const authenticator = nkeyAuthenticator(user.getSeed())
  const url = server.url.replace('nats:', 'tls+nats:')
  const transport = natsTransport({ url: server.url, connection: { tls, authenticator } })
  onTestFinished(() => transport.close())
  const tasks = createTasks({ namespace: 'tls' })
  const double = tasks.bind('double', (n: number) => n * 2)
  const worker = await startWorker({ tasks, transport, partitions: 2 })
  const client = createClient({ namespace: 'tls', transport })
  expect(await (await client.submit(double.send(5).continueWith(double))).result({ timeoutMs: 30_000 })).toBe(20)
  await client.close()
  await worker.close()

  // Whoever the server does not know, and a server that is not known, is refused in time.
  for (const connection of [{ tls }, { tls: { caFile: certFile }, authenticator }, { authenticator }])
    await expect(fromUrl(url, { connection, patienceMs: 1_000 })).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
}, 60_000)
