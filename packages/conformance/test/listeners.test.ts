// The cases of listeners, on one that keeps every promise, and on some that break one on purpose: the listener, or what runs it.
import { inParallel, taskContext, waitForEvent, type PollOptions } from '@tasks/core'
import { beforeAll, describe, expect, test } from 'vitest'
import { listenerCases } from '../src/index'
import { pause } from '../src/patience'
import { describeListener } from '../src/vitest'
import { listening, queueHarness, QueueListener, type Listening, type Message } from './support/reference-listener'

describeListener('a queue', queueHarness(listening((queue) => new QueueListener(queue))))

interface Mutant {
  /** What it does wrong. */
  readonly name: string
  readonly caught: readonly string[]
  readonly listen: Listening
}

const NOT_BEFORE = 'fires when its event happens, and not before'
const IN_TURN = 'fires once for each event, in turn'
const TO_ONE = 'gives each event to one of those who wait'
const TELLS = 'tells its source that an event is safe, before what comes next'
const CRASHES = 'loses no event and invents none, wherever its worker dies'
const CLOSES = 'goes on elsewhere at once when its worker closes'
const CANCELS = 'waits no longer when its pipeline is cancelled, and takes nothing from others'

const mutants: readonly Mutant[] = [
  {
    name: 'fires at once',
    caught: [NOT_BEFORE],
    listen: listening(
      (queue) =>
        new (class extends QueueListener {
          override async pollForEvent(): Promise<Message> {
            return queue.take() ?? { id: 0, text: 'event 0' }
          }
        })(queue),
    ),
  },
  {
    name: 'gives out what it has given out',
    caught: [TO_ONE],
    listen: listening(
      (queue) =>
        new (class extends QueueListener {
          override async pollForEvent({ signal }: PollOptions): Promise<Message> {
            for (;;) {
              signal.throwIfAborted()
              const message = queue.take(0)
              if (message !== undefined) return message
              await pause(2)
            }
          }
        })(queue),
    ),
  },
  {
    name: 'forgets an event when it gives it out',
    caught: [CRASHES],
    listen: listening(
      (queue) =>
        new (class extends QueueListener {
          override async pollForEvent(options: PollOptions): Promise<Message> {
            const message = await super.pollForEvent(options)
            queue.acknowledge(message)
            return message
          }
        })(queue),
    ),
  },
  {
    name: 'tells its source nothing',
    caught: [TELLS, CRASHES],
    listen: listening(
      (queue) =>
        new (class extends QueueListener {
          override eventCheckpointed(): void {}
        })(queue),
    ),
  },
  {
    name: 'knows only the events of its own process',
    caught: [CRASHES],
    listen: listening((queue) => {
      const mine = new Set<number>()
      return new (class extends QueueListener {
        override async pollForEvent(options: PollOptions): Promise<Message> {
          const message = await super.pollForEvent(options)
          mine.add(message.id)
          return message
        }
        override eventCheckpointed(event: Message): void {
          if (mine.has(event.id)) super.eventCheckpointed(event)
        }
      })(queue)
    }),
  },
  {
    name: 'goes on polling, whoever wants it to end',
    caught: [CLOSES, CANCELS],
    listen: listening(
      (queue) =>
        new (class extends QueueListener {
          override async pollForEvent(): Promise<Message> {
            for (const until = performance.now() + 10_000; performance.now() < until; await pause(2)) {
              // For good: nobody comes who would give it back.
              const message = queue.take(Infinity)
              if (message !== undefined) return message
            }
            throw new Error('the test is over')
          }
        })(queue),
    ),
  },
  {
    name: 'is told before the event is committed',
    caught: [CRASHES],
    listen: (queue, tasks) => {
      const listener = new QueueListener(queue)
      const poll = tasks.bind(
        'listen:queue',
        async () => {
          const event = await listener.pollForEvent({ signal: taskContext().signal })
          listener.eventCheckpointed(event)
          return event
        },
        { queue: 'listen:queue' },
      )
      return { wait: () => poll.send() }
    },
  },
  {
    name: 'hands the event on before its source is told',
    caught: [TELLS],
    listen: (queue, tasks) => {
      const listener = new QueueListener(queue)
      const poll = tasks.bindListener('queue', {
        pollForEvent: (options: PollOptions) => listener.pollForEvent(options),
      })
      const tell = tasks.bind('tell', async (event: Message) => {
        void pause(100).then(() => listener.eventCheckpointed(event))
        return event
      })
      return { wait: () => waitForEvent(poll).continueWith(tell) }
    },
  },
  {
    name: 'waits twice for one event',
    caught: [TO_ONE, IN_TURN],
    listen: (queue, tasks) => {
      const bound = tasks.bindListener('queue', new QueueListener(queue))
      const first = tasks.bind('first', ([event]: readonly Message[]) => event!)
      return { wait: () => inParallel([waitForEvent(bound), waitForEvent(bound)]).continueWith(first) }
    },
  },
]

describe('mutants', () => {
  const verdicts = new Map<string, unknown>()
  // Patience for what a mutant will not do.
  const patience = { leaseMs: 300, eventuallyMs: 3_000, settleMs: 1_000 }

  beforeAll(async () => {
    const trials = mutants.flatMap(({ name, caught, listen }) =>
      caught.map(async (promise) => {
        const one = listenerCases.find((each) => each.name === promise)
        await one?.run(queueHarness(listen, patience)).then(
          () => undefined,
          (error: unknown) => verdicts.set(`${name}: ${promise}`, error),
        )
      }),
    )
    await Promise.all(trials)
  }, 120_000)

  test.each(mutants.flatMap(({ name, caught }) => caught.map((promise) => [name, promise] as const)))(
    'a listener that %s is caught by "%s"',
    (name, promise) => {
      const error = verdicts.get(`${name}: ${promise}`)
      expect(error, 'the case found nothing').toBeDefined()
      // These would be the mutant's own bugs.
      expect(error).not.toBeInstanceOf(TypeError)
      expect(error).not.toBeInstanceOf(ReferenceError)
    },
  )

  test('every case catches a mutant, so that none can be added that cannot fail', () => {
    const caught = new Set(mutants.flatMap((mutant) => mutant.caught))
    expect(listenerCases.map(({ name }) => name).filter((name) => !caught.has(name))).toEqual([])
  })
})
