/** @typedef {import('./server.js').Server} Server */
/** @typedef {import('./redis.js').RedisOptions} RedisOptions */
/** @typedef {import('./kafka.js').KafkaOptions} KafkaOptions */
export { NoBroker } from './programs.js'
export { KAFKA, OLD_KAFKA, startKafka } from './kafka.js'
export { startRedis } from './redis.js'
