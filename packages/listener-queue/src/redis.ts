// Lists and streams of Redis 6.2 and newer, Valkey too, by one connection that others may use as well: nothing blocks it. While somebody waits, one command is sent every
// `pollMs`, however many wait.
export type { RedisCommands, RedisQueueOptions } from './redis/commands'
export { redisList } from './redis/list'
export type { RedisStreamOptions } from './redis/stream'
export { redisStream } from './redis/stream'
