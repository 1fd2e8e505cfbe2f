export type { NatsTransportOptions } from './transport'
export { fromUrl, natsTransport } from './transport'
