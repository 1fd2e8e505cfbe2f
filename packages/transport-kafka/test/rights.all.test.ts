// A broker that speaks TLS, asks who is there, and allows what the README says is enough.
import { quickCases } from '@tasks/conformance'
import { describeTransport } from '@tasks/conformance/vitest'
import { freePort, startKafka } from '@tasks/dev-config/brokers'
import { serverOrReason } from '@tasks/dev-config/brokers/in-tests'
import kafkajs, { type KafkaConfig } from 'kafkajs'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { kafkajsClient } from '../src/clients'
import { kafkaTransport } from '../src/index'
import { parseUrl } from '../src/url'
import { conformanceHarness } from './support/harness'
import { newDriver } from './support/server'

const port = await freePort()
const users = { tasks: 'of-tasks', stranger: 'of-stranger' }
const server = await serverOrReason(() => startKafka({ brief: true, guarded: { port, users } }))

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs
type Operation = keyof typeof AclOperationTypes

/** What `kafka-acls.sh` is told to do in the README. */
function aclsOfReadme(): kafkajs.AclEntry[] {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8').replaceAll('\\\n', ' ')
  return [...readme.matchAll(/^kafka-acls\.sh .*$/gm)].flatMap(([command]) => {
    const [, kind, resourceName] = /--(topic|transactional-id) (\S+)/.exec(command)!
    return [...command.matchAll(/--operation (\w+)/g)].map(([, operation]) => ({
      principal: /--allow-principal (\S+)/.exec(command)![1]!,
      host: '*',
      resourceType: kind === 'topic' ? AclResourceTypes.TOPIC : AclResourceTypes.TRANSACTIONAL_ID,
      resourcePatternType: ResourcePatternTypes.PREFIXED,
      resourceName: resourceName!,
      permissionType: AclPermissionTypes.ALLOW,
      operation: AclOperationTypes[operation!.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase() as Operation],
    }))
  })
}

// oxlint-disable-next-line vitest/no-conditional-tests, vitest/expect-expect
if (typeof server === 'string') test('needs no more rights than it says', (ctx) => ctx.skip(server))
else {
  const as = (username: keyof typeof users): KafkaConfig => ({
    brokers: [`127.0.0.1:${port}`],
    ssl: { ca: readFileSync(join(server.folder, 'broker.pem')) },
    sasl: { mechanism: 'plain', username, password: users[username] },
  })
  const admin = new kafkajs.Kafka({ ...parseUrl(server.url).client, logLevel: kafkajs.logLevel.NOTHING }).admin()
  await admin.connect()
  const acl = aclsOfReadme()
  await admin.createAcls({ acl })
  // The broker hears of them from the controller.
  for (let known = 0; known < acl.length;) {
    const { resources } = await admin.describeAcls({
      resourceType: AclResourceTypes.ANY,
      resourcePatternType: ResourcePatternTypes.ANY,
      operation: AclOperationTypes.ANY,
      permissionType: AclPermissionTypes.ANY,
    })
    known = resources.reduce((sum, { acls }) => sum + acls.length, 0)
  }
  await admin.disconnect()

  test.each([
    ['a user who may do nothing', as('stranger'), 'the user may not do this'],
    [
      'a wrong password',
      { ...as('tasks'), sasl: { mechanism: 'plain', username: 'tasks', password: 'wrong' } },
      'uthenticat',
    ],
  ] as const)('refuses %s, and says so', async (_, connection, why) => {
    const transport = kafkaTransport({ connection, patienceMs: 2_000 })
    onTestFinished(() => transport.close())
    await expect(transport.open({ namespace: 'rights', partitions: 1 })).rejects.toMatchObject({
      code: 'TASKS_UNAVAILABLE',
      message: expect.stringContaining(why),
    })
  })

  test('what is done may be let go of', async (ctx) => {
    const transport = kafkaTransport({ connection: as('tasks') })
    onTestFinished(() => transport.close())
    await transport.open({ namespace: 'rights', partitions: 1 })
    // It may look at what that says.
    expect(transport.capabilities.server).toMatch(/min\.insync\.replicas 1$/)
    const driver = newDriver(ctx, as('tasks'))
    const place = { topic: 'tasks.rights.tasks', partition: 0 }
    await driver.produce([{ ...place, records: [{ key: null, value: Buffer.of(1) }] }])
    await driver.truncate(place, 1)
    expect(await driver.range(place)).toEqual({ start: 1, end: 1 })
  })

  describeTransport(
    'a user who may do what the README says',
    await conformanceHarness(
      server,
      kafkajsClient(as('tasks'), () => {}),
    ),
    {
      cases: quickCases.filter(({ requires }) => !requires?.includes('restartBroker')),
      concurrent: true,
    },
  )
}
