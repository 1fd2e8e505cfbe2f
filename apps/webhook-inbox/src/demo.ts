// To try the program where there is no Redis: one is started, and ends with it.
import { startRedis } from '@tasks/dev-config/brokers'

const isNeeded = !process.env['REDIS_URL'] && !process.argv.some((word) => /^(--redis\b|--help$|-h$)/.test(word))
const redis = isNeeded ? await startRedis() : undefined
if (redis !== undefined) process.env['REDIS_URL'] = redis.url
await import('./main')
await redis?.stop()
