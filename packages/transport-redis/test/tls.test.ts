// A server that speaks TLS only to those whom it knows, and a user of its own: ioredis' options, passed on.
import { createClient, createTasks, startWorker } from '@tasks/core'
import { freePort } from '@tasks/dev-config/brokers'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, type TestContext } from 'vitest'
import { redisTransport } from '../src/index'
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

test('pipelines run over TLS, with certificates on both sides and a password', async (ctx) => {
  const { certFile, keyFile } = makeCertificate(ctx)
  const port = await freePort()
  const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile]
  await newServer(ctx, {
    settings: ['--tls-port', String(port), ...files, '--user', 'tasks', 'on', '>secret', '~*', '&*', '+@all'],
  })
  const [ca, cert, key] = [certFile, certFile, keyFile].map((file) => readFileSync(file))
  const open = (tls: object) =>
    redisTransport({
      connection: { host: '127.0.0.1', port, username: 'tasks', password: 'secret', tls },
      patienceMs: 5_000,
    })

  const transport = open({ ca, cert, key })
  onTestFinished(() => transport.close())
  const tasks = createTasks({ namespace: 'tls' })
  const double = tasks.bind('double', (n: number) => n * 2)
  const worker = await startWorker({ tasks, transport, partitions: 2 })
  const client = createClient({ namespace: 'tls', transport })
  expect(await (await client.submit(double.send(5).continueWith(double))).result({ timeoutMs: 30_000 })).toBe(20)
  await client.close()
  await worker.close()

  // Whoever the server does not know, and a server that is not known, is refused in time.
  for (const tls of [{ ca }, { cert, key }]) {
    const stranger = open(tls)
    onTestFinished(() => stranger.close())
    await expect(stranger.open({ namespace: 'tls' })).rejects.toMatchObject({ code: 'TASKS_UNAVAILABLE' })
  }
})
