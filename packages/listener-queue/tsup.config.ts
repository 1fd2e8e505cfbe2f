import { library } from '@tasks/dev-config/tsup'
import { defineConfig } from 'tsup'

export default defineConfig(
  library({ index: 'src/index.ts', redis: 'src/redis.ts', nats: 'src/nats.ts', kafka: 'src/kafka.ts' }),
)
