export type { SqliteTransportOptions } from './transport'
export { fromUrl, sqliteTransport } from './transport'
