import { library } from '@tasks/dev-config/tsup'
import { defineConfig } from 'tsup'

export default defineConfig({ ...library, entry: ['src/index.ts', 'src/redis.ts', 'src/nats.ts'] })
