/** @typedef {import('./server.js').Server} Server */
/** @typedef {import('./redis.js').RedisOptions} RedisOptions */
/** @typedef {import('./kafka.js').KafkaOptions} KafkaOptions */
/** @typedef {import('./nats.js').NatsOptions} NatsOptions */
export { NoBroker } from './programs.js'
export { KAFKA, OLD_KAFKA, startKafka, startKafkaCluster } from './kafka.js'
export { startNats, startNatsCluster } from './nats.js'
export { startRedis, startSentinel } from './redis.js'
export { freePort } from './server.js'
export { serverOrReason } from './server-or-reason.js'
