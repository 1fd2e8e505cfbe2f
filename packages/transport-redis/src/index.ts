export type { RedisTransportOptions } from './transport'
export { fromUrl, redisTransport } from './transport'
