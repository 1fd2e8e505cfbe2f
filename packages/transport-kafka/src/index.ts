export type { KafkaTransportOptions } from './transport'
export { fromUrl, kafkaTransport } from './transport'
