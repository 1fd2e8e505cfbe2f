/** @typedef {import('./server.js').Server} Server */
/** @typedef {import('./redis.js').RedisOptions} RedisOptions */
export { NoBroker } from './programs.js'
export { startRedis } from './redis.js'
